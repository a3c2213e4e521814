"""What a replay changed: its rows beside those that stood before, while both are there."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, func, literal, select

from frameferry.domain.records import UNJUDGED
from frameferry.domain.replay import Change
from frameferry.ledger.database.tables import batch, batch_range, quarantine, record
from frameferry.ledger.records.asked import find_replay
from frameferry.ledger.records.copies import is_copy

_AT_ONCE = 1000


def replay_changes(connection: Connection, name: str, replay_id: int) -> list[Change]:
    """
    Count the records of a replay by what was said of them before, and by what it says.

    A record counts as soon as the replay has an answer for it, unless its older rows were pruned.
    The most frequent change comes first.

    Raises:
        ConfigError: The pipeline has no replay with this number.
    """
    find_replay(connection, name, replay_id)
    counts: Counter[tuple[str, str, str | None, str | None]] = Counter()
    last: tuple[int, int] | None = None
    with connection.execute(_pairs(replay_id), execution_options={"yield_per": _AT_ONCE}) as rows:
        for partition, offset, *said in rows:
            # Of several older rows the newest comes first.
            if (partition, offset) != last:
                counts[said[0], said[1], said[2], said[3]] += 1
            last = partition, offset
    return [Change(*said, number) for said, number in counts.most_common()]


def _pairs(replay_id: int) -> Select[Any]:
    """
    Pair each row of a replay with the rows that came before it, the newest of them first.

    Copies in another base never were what the pipeline said.
    """
    mine, other = batch_range.alias("mine"), batch_range.alias("other")
    new, old = record.alias("new"), record.alias("old")
    whole = batch.alias("whole")
    new_why, old_why = quarantine.alias("new_why"), quarantine.alias("old_why")
    return (
        select(
            new.c.partition,
            new.c.offset,
            _verdict(old, old_why),
            _verdict(new, new_why),
            old.c.judge_digest,
            new.c.judge_digest,
        )
        .select_from(batch)
        .join(mine, mine.c.batch_id == batch.c.id)
        .join(other, _overlap(mine, other))
        .join(whole, whole.c.id == other.c.batch_id)
        .join(old, _lies_in(old, other))
        .join(
            new,
            and_(
                new.c.batch_id == mine.c.batch_id,
                new.c.partition == old.c.partition,
                new.c.offset == old.c.offset,
            ),
        )
        .outerjoin(old_why, old_why.c.record_id == old.c.id)
        .outerjoin(new_why, new_why.c.record_id == new.c.id)
        .where(
            batch.c.replay_id == replay_id,
            batch.c.split_at.is_(None),
            old.c.id < new.c.id,
            ~is_copy(whole),
            new.c.outcome.is_not(None),
        )
        .order_by(new.c.partition, new.c.offset, old.c.id.desc())
    )


def _overlap(mine: FromClause, other: FromClause) -> ColumnElement[bool]:
    return and_(
        other.c.pipeline_id == mine.c.pipeline_id,
        other.c.generation == mine.c.generation,
        other.c.partition == mine.c.partition,
        other.c.start_offset < mine.c.end_offset,
        other.c.end_offset > mine.c.start_offset,
        other.c.batch_id != mine.c.batch_id,
    )


def _lies_in(row: FromClause, of: FromClause) -> ColumnElement[bool]:
    return and_(
        row.c.batch_id == of.c.batch_id,
        row.c.partition == of.c.partition,
        row.c.offset >= of.c.start_offset,
        row.c.offset < of.c.end_offset,
    )


def _verdict(row: FromClause, why: FromClause) -> ColumnElement[str]:
    """Say a row's label, or why it is in quarantine."""
    return func.coalesce(literal("quarantined: ") + why.c.reason, row.c.label, UNJUDGED)
