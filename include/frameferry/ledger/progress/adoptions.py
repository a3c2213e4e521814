"""A pipeline that begins where another system stopped: registered, or moved while nothing began."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, select, update

from frameferry.domain.adoption import Adopted, Takeover
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.tables import action, progress
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import lock_progress
from frameferry.ledger.progress.gaps import accept_gap, record_gap
from frameferry.ledger.progress.pipelines import (
    PipelineKey,
    find_pipeline,
    need_pipeline,
    register_pipeline,
)
from frameferry.ledger.progress.plans import add_batch

_WHAT = "adopt"
_LOST = "expired before it was adopted"


def adopt(
    connection: Connection, name: str, wanted: Takeover, *, again: bool, who: str, detail: str
) -> None:
    """
    Begin a pipeline at given offsets, as planned and committed up to there. Recorded.

    1. Register it, or find it registered. 2. Lock its progress, so that no planner moves it.
    3. Refuse if anything began. 4. Move. 5. Record and accept what is lost. 6. Freeze what the
    other system had planned.

    Args:
        connection: Its transaction.
        name: The pipeline.
        wanted: Where it is to begin.
        again: Whether an earlier adoption may be replaced.
        who: The person.
        detail: Where the offsets come from, for the record.

    Raises:
        TopicChanged: The pipeline is recorded with another topic or cluster.
        LedgerConflict: Something was planned already, it was adopted before, or another pipeline
            owns one of the partitions.
    """
    register_pipeline(
        connection,
        name,
        cluster_id=wanted.cluster_id,
        topic=wanted.topic,
        topic_id=wanted.topic_id,
        starts=wanted.starts,
    )
    key = need_pipeline(connection, name)
    lock_progress(connection, key)
    refuse_begun(connection, name, again=again)
    _move(connection, key, wanted.starts)
    for place in wanted.lost:
        _give_up(connection, name, place, who=who, reason=wanted.reason)
    for one in wanted.carried:
        digest = wanted.config_digest
        add_batch(connection, name, ranges=one.ranges, sentence=one.sentence, config_digest=digest)
    write_action(connection, who=who, what=_WHAT, pipeline_id=key.id, detail=detail)


def refuse_begun(connection: Connection, name: str, *, again: bool) -> None:
    """
    Refuse to adopt a pipeline of which anything was planned, or that was adopted before.

    Args:
        connection: Its transaction.
        name: The pipeline; one that is not registered has begun nothing.
        again: Whether an earlier adoption may be replaced, as long as nothing was planned since.

    Raises:
        LedgerConflict: Says what was begun, and what to do.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return
    before = adopted(connection, name)
    if _has_begun(connection, key):
        at = f", adopted on {_told(before)}," if before else ""
        msg = f"the pipeline{at} has planned something already: its offsets cannot be moved"
        remedy = (
            f"It goes on from there; see how far it is: frameferry status {name}. To deliver a "
            "range once more: frameferry replay. kafka.start: adopt keeps a pipeline from "
            "beginning by itself"
        )
        raise LedgerConflict(msg, remedy=remedy, pipeline=name)
    if before is not None and not again:
        msg = f"the pipeline was adopted already, on {_told(before)}"
        remedy = (
            f"It begins there: frameferry run {name}. Nothing was planned yet: to adopt it "
            "otherwise, say --again"
        )
        raise LedgerConflict(msg, remedy=remedy, pipeline=name)


def adopted(connection: Connection, name: str) -> Adopted | None:
    """Read when, by whom and from where a pipeline was adopted last; None if it never was."""
    key = find_pipeline(connection, name)
    if key is None:
        return None
    query = (
        select(action.c.done_at, action.c.who, action.c.detail)
        .where(action.c.pipeline_id == key.id, action.c.what == _WHAT)
        .order_by(action.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else Adopted(*row)


def _told(before: Adopted) -> str:
    return f"{before.at:%Y-%m-%d %H:%M:%S} UTC by {before.who} ({before.detail})"


def _has_begun(connection: Connection, key: PipelineKey) -> bool:
    """Say whether any partition, of any generation, was planned beyond where it began."""
    query = select(progress.c.partition).where(
        progress.c.pipeline_id == key.id,
        progress.c.planned_offset.is_distinct_from(progress.c.start_offset),
    )
    return connection.execute(query.limit(1)).first() is not None


def _give_up(
    connection: Connection, name: str, lost: OffsetRange, *, who: str, reason: str
) -> None:
    gap_id = record_gap(
        connection,
        name,
        partition=lost.partition,
        start=lost.start,
        end=lost.end,
        cause=_LOST,
    )
    accept_gap(connection, gap_id, who=who, reason=reason)


def _move(connection: Connection, key: PipelineKey, starts: Mapping[int, int]) -> None:
    """Begin each partition at its start; the rows are locked, and nothing of them began."""
    connection.execute(
        update(progress)
        .where(
            progress.c.pipeline_id == key.id,
            progress.c.generation == key.generation,
            progress.c.partition == bindparam("of_partition"),
        )
        .values(
            planned_offset=bindparam("begin"),
            committed_offset=bindparam("begin"),
            start_offset=bindparam("begin"),
        ),
        [{"of_partition": partition, "begin": at} for partition, at in sorted(starts.items())],
    )
