"""
Replays: batches over ranges that are committed already. They never touch progress.

A replay and all its batches are frozen in one transaction. It is open while one of its leaves, the
batches that were not split, is not committed.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    case,
    func,
    insert,
    literal,
    null,
    select,
)

from frameferry.domain.batch import ReplayMode
from frameferry.domain.columns import MET, SAID
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.replay import Relocation
from frameferry.domain.selection import Selection
from frameferry.domain.selection_json import as_options, to_json
from frameferry.errors import ConfigError
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import (
    batch,
    batch_range,
    current,
    quarantine,
    record,
    replay,
    replay_base,
)
from frameferry.ledger.database.text import storable
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import committed_offsets, lock_progress
from frameferry.ledger.progress.pipelines import PipelineKey, need_pipeline
from frameferry.ledger.progress.plans import insert_batch, insert_ranges
from frameferry.ledger.records.asked import OPEN_LEAF, as_replay
from frameferry.ledger.records.copies import relocated
from frameferry.ledger.records.intents import is_elsewhere
from frameferry.ledger.records.receipts import same_position


def add_replay(
    connection: Connection,
    name: str,
    *,
    selection: Selection,
    mode: ReplayMode,
    pieces: Sequence[Sequence[OffsetRange]],
    sentence: str,
    config_digest: str,
    who: str,
    relocation: Relocation | None = None,
) -> tuple[int, ...]:
    """
    Freeze a replay with all its batches, in one transaction; the action is recorded.

    `redeliver` begins judged: it copies the standing rows, path and label and all; those
    that are quarantined stay so. `reinfer` begins with none.

    Args:
        connection: Its transaction.
        name: The pipeline.
        selection: What was asked for, for the record.
        mode: Whether the predictions are kept.
        pieces: The ranges of each batch.
        sentence: What is said of each batch.
        config_digest: The settings that it was asked under.
        who: The person, for the record.
        relocation: Where copies go instead; None: the files go under the names that stand.

    Returns:
        The ids of the batches, in order of the pieces.

    Raises:
        ConfigError: A range is not committed yet, or overlaps one of an open replay.
    """
    key = need_pipeline(connection, name)
    committed = lock_progress(connection, key)
    _refuse(connection, key, name, [one for piece in pieces for one in piece], committed)
    asked = {"selection": to_json(selection), "mode": mode, "who": storable(who)}
    replay_id = _insert(connection, key, asked)
    columns = {"replay_id": replay_id, "sentence": sentence, "config_digest": config_digest}
    if mode == "redeliver":
        columns["inferred_at"] = from_now()
    if relocation is not None:
        connection.execute(insert(replay_base).values(replay_id=replay_id, base=relocation.into))
    ids = tuple(_add_piece(connection, key, piece, columns, relocation) for piece in pieces)
    write_action(
        connection,
        who=who,
        what="replay",
        pipeline_id=key.id,
        detail=f"replay {replay_id}, {mode} {selection}{relocation or ''}",
    )
    return ids


def check_replay(connection: Connection, name: str, ranges: Sequence[OffsetRange]) -> None:
    """
    Refuse what `add_replay` would, for a dry run; a rival may still come in between.

    Raises:
        ConfigError: As `add_replay`.
    """
    key = need_pipeline(connection, name)
    _refuse(connection, key, name, ranges, committed_offsets(connection, name))


def _refuse(
    connection: Connection,
    key: PipelineKey,
    name: str,
    ranges: Sequence[OffsetRange],
    committed: dict[int, int],
) -> None:
    ordered = sorted(ranges)
    _refuse_bad(name, ordered, committed)
    _refuse_overlap(connection, key, name, ordered)
    _refuse_pruned(connection, key, name, ordered)


def _insert(connection: Connection, key: PipelineKey, asked: dict[str, Any]) -> int:
    statement = insert(replay).values(
        pipeline_id=key.id, generation=key.generation, asked_at=from_now(), **asked
    )
    return int(connection.execute(statement.returning(replay.c.id)).scalar_one())


def _add_piece(
    connection: Connection,
    key: PipelineKey,
    ranges: Sequence[OffsetRange],
    columns: dict[str, Any],
    relocation: Relocation | None,
) -> int:
    """Insert a batch of a replay; one that begins judged copies the rows that stand."""
    batch_id = insert_batch(connection, key, kind="replay", **columns)
    insert_ranges(connection, key, batch_id, ranges, is_live_root=False)
    if "inferred_at" in columns:
        for wanted in ranges:
            _copy(connection, key, batch_id, wanted, relocation)
        _copy_quarantines(connection, batch_id)
    return batch_id


def _refuse_bad(name: str, ranges: Sequence[OffsetRange], committed: dict[int, int]) -> None:
    if not ranges:
        msg = "a replay needs at least one range"
        raise ConfigError(msg, pipeline=name)
    for wanted in ranges:
        end = committed.get(wanted.partition)
        if end is None or wanted.end > end:
            msg = f"{wanted} is not committed yet: the committed offset is {end or 0}"
            remedy = (
                "Only committed offsets can be replayed; the others are delivered by the next runs"
            )
            raise ConfigError(msg, remedy=remedy, pipeline=name, partition=wanted.partition)
    for first, second in pairwise(ranges):
        if first.overlaps(second):
            msg = f"the ranges {first} and {second} overlap"
            raise ConfigError(msg, remedy="Name each offset once", pipeline=name)


def _refuse_overlap(
    connection: Connection, key: PipelineKey, name: str, ranges: Sequence[OffsetRange]
) -> None:
    """Let at most one open replay hold an offset; the locked progress rows keep rivals out."""
    query = (
        select(
            batch_range.c.partition,
            batch_range.c.start_offset,
            batch_range.c.end_offset,
            batch.c.replay_id,
        )
        .join(batch, batch.c.id == batch_range.c.batch_id)
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.generation == key.generation,
            batch.c.kind == "replay",
            *OPEN_LEAF,
        )
    )
    held = [(OffsetRange(*place), of) for *place, of in connection.execute(query)]
    # Neither side overlaps itself, so if any two overlap, two neighbours do.
    both = sorted([*held, *((wanted, 0) for wanted in ranges)])
    for (first, one), (second, other) in pairwise(both):
        if first.overlaps(second) and (holder := one or other):
            mine = second if one else first
            raise _under_replay(connection, name, mine, holder)


def _under_replay(
    connection: Connection, name: str, wanted: OffsetRange, replay_id: int
) -> ConfigError:
    row = connection.execute(select(replay).where(replay.c.id == replay_id)).one()
    other = as_replay(connection, row)
    msg = f"{wanted} is under {other} of {other.who}, which is open"
    remedy = (
        "Let it end; where nothing runs it any more, this takes it up: frameferry replay "
        f"{name} {as_options(other.selection)} --mode {other.mode}"
        f"{'' if other.into is None else f' --into {shlex.quote(other.into)}'}"
    )
    return ConfigError(msg, remedy=remedy, pipeline=name, partition=wanted.partition)


def standing_elsewhere(
    connection: Connection,
    name: str,
    ranges: Sequence[OffsetRange],
    *,
    destination: str,
    base: str,
) -> tuple[str, str] | None:
    """Find a standing file of the ranges on another server or below another base, if any."""
    key = need_pipeline(connection, name)
    for wanted in ranges:
        query = (
            select(record.c.destination, record.c.remote_path)
            .join(current, current.c.record_id == record.c.id)
            .where(
                *_within(key, wanted),
                record.c.outcome == "delivered",
                is_elsewhere(destination, base),
            )
            .order_by(current.c.offset)
            .limit(1)
        )
        row = connection.execute(query).one_or_none()
        if row is not None:
            return row.destination, row.remote_path
    return None


def _within(key: PipelineKey, wanted: OffsetRange) -> tuple[ColumnElement[bool], ...]:
    """Pick what stands in a range of the newest generation."""
    return (
        current.c.pipeline_id == key.id,
        current.c.generation == key.generation,
        current.c.partition == wanted.partition,
        current.c.offset >= wanted.start,
        current.c.offset < wanted.end,
    )


def _refuse_pruned(
    connection: Connection, key: PipelineKey, name: str, ranges: Sequence[OffsetRange]
) -> None:
    """Refuse ranges whose rows were pruned: there is nothing to replay them by."""
    for wanted in ranges:
        # Usually each offset has its row: then nothing was pruned, and no batch is looked at.
        if not _rowless(connection, key, wanted):
            continue
        for row in connection.execute(_pruned_over(key, wanted)).all():
            start, end = max(wanted.start, row.start_offset), min(wanted.end, row.end_offset)
            span = OffsetRange(wanted.partition, start, end)
            if rowless := _rowless(connection, key, span):
                msg = (
                    f"{rowless} offsets of {span} have no row: records of batch {row.id} were "
                    f"pruned on {row.pruned_at:%Y-%m-%d}"
                )
                remedy = (
                    "Those are in the files that were exported then, and can be replayed no more; "
                    f"replay ranges of offsets that have rows (frameferry records {name})"
                )
                raise ConfigError(msg, remedy=remedy, pipeline=name)


def _rowless(connection: Connection, key: PipelineKey, wanted: OffsetRange) -> int:
    """Count the offsets for which no row stands: what was pruned, markers and gaps."""
    query = select(func.count()).select_from(current).where(*_within(key, wanted))
    return wanted.length - connection.execute(query).scalar_one()


def _pruned_over(key: PipelineKey, wanted: OffsetRange) -> Select[*tuple[Any, ...]]:
    """Pick the ranges of batches that lost standing rows to pruning."""
    return (
        select(batch.c.id, batch.c.pruned_at, batch_range.c.start_offset, batch_range.c.end_offset)
        .join(batch_range, batch_range.c.batch_id == batch.c.id)
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.generation == key.generation,
            batch.c.pruned_at.is_not(None),
            batch_range.c.partition == wanted.partition,
            batch_range.c.start_offset < wanted.end,
            batch_range.c.end_offset > wanted.start,
        )
        .order_by(batch_range.c.start_offset, batch.c.id)
    )


_COPIED = (
    *("pipeline_id", "generation", "destination", "remote_path", "judge_digest"),
    *MET,
    *SAID,
    *("duplicate_of", "gap_id"),
)


def _copy(
    connection: Connection,
    key: PipelineKey,
    batch_id: int,
    wanted: OffsetRange,
    relocation: Relocation | None,
) -> None:
    """Copy the standing rows: those with a file are due again, the others keep their outcome."""
    columns: dict[str, ColumnElement[Any]] = {name: record.c[name] for name in _COPIED}
    again = record.c.outcome == "delivered"
    if relocation is not None:
        # What a duplicate leans on lies in the pipeline's own base, and is not selected perhaps.
        again |= record.c.outcome == "duplicate"
        columns["duplicate_of"] = null()
        columns["remote_path"] = relocated(record.c.remote_path, relocation)
    standing = (
        select(
            literal(batch_id),
            *columns.values(),
            case((again, null()), else_=record.c.outcome),
        )
        .join(current, current.c.record_id == record.c.id)
        .where(*_within(key, wanted))
        .order_by(current.c.offset)
    )
    connection.execute(insert(record).from_select(["batch_id", *_COPIED, "outcome"], standing))


def _copy_quarantines(connection: Connection, batch_id: int) -> None:
    standing = (
        select(
            record.c.id,
            quarantine.c.stage,
            quarantine.c.reason,
            quarantine.c.detail,
            quarantine.c.found_at,
            quarantine.c.held_until,
            quarantine.c.kept_copy,
            quarantine.c.resolved_at,
            quarantine.c.resolved_how,
            quarantine.c.resolved_by,
        )
        .join(current, same_position())
        .join(quarantine, quarantine.c.record_id == current.c.record_id)
        .where(record.c.batch_id == batch_id, record.c.outcome == "quarantined")
    )
    columns = [
        "record_id",
        "stage",
        "reason",
        "detail",
        "found_at",
        "held_until",
        "kept_copy",
        "resolved_at",
        "resolved_how",
        "resolved_by",
    ]
    connection.execute(insert(quarantine).from_select(columns, standing))
