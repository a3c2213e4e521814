"""A pipeline that begins where another system stopped: registered, or moved while nothing began."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, bindparam, select, update

from frameferry.domain.adoption import Adopted, Carried
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.tables import action, batch, gap, progress
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
    connection: Connection,
    name: str,
    *,
    cluster_id: str,
    topic: str,
    topic_id: str,
    starts: Mapping[int, int],
    lost: Sequence[OffsetRange],
    reason: str,
    carried: Sequence[Carried],
    config_digest: str,
    again: bool,
    who: str,
    detail: str,
) -> None:
    """
    Begin a pipeline at given offsets, as planned and committed up to there. Recorded.

    1. Register it, or find it registered. 2. Lock its progress, so that no planner moves it.
    3. Refuse if anything began. 4. Move. 5. Record and accept what is lost. 6. Freeze what the
    other system had planned.

    Args:
        connection: Its transaction.
        name: The pipeline.
        cluster_id: Its Kafka cluster, by Kafka's own id.
        topic: Its topic's name, for people.
        topic_id: Its topic, by Kafka's own id.
        starts: The first offset to plan, per partition.
        lost: What Kafka no longer holds; each begins at its partition's start.
        reason: Why that is all right, in the person's words; kept with each gap.
        carried: Batches to freeze, in this order; the first of a partition begins at its start,
            or where what is lost ends.
        config_digest: Of the pipeline's file, for the batches.
        again: Whether an earlier adoption may be replaced.
        who: The person.
        detail: Where the offsets come from, for the record.

    Raises:
        TopicChanged: The pipeline is recorded with another topic or cluster.
        LedgerConflict: Something was planned already, it was adopted before, or another pipeline
            owns one of the partitions.
    """
    register_pipeline(
        connection, name, cluster_id=cluster_id, topic=topic, topic_id=topic_id, starts=starts
    )
    key = need_pipeline(connection, name)
    lock_progress(connection, key)
    refuse_begun(connection, name, again=again)
    _move(connection, key, starts)
    for place in lost:
        gap_id = record_gap(
            connection,
            name,
            partition=place.partition,
            start=place.start,
            end=place.end,
            cause=_LOST,
        )
        accept_gap(connection, gap_id, who=who, reason=reason)
    for one in carried:
        add_batch(
            connection,
            name,
            ranges=one.ranges,
            sentence=one.sentence,
            config_digest=config_digest,
        )
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
            f"See how far it is: frameferry status {name}. To deliver a range once more: "
            "frameferry replay. To adopt something else, make a pipeline with a topic, or "
            "partitions, of its own"
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
    moved = (progress.c.planned_offset != progress.c.start_offset) | (
        progress.c.committed_offset != progress.c.start_offset
    )
    signs = (
        select(batch.c.id).where(batch.c.pipeline_id == key.id),
        select(gap.c.id).where(gap.c.pipeline_id == key.id),
        select(progress.c.partition).where(progress.c.pipeline_id == key.id, moved),
    )
    return any(connection.execute(sign.limit(1)).first() is not None for sign in signs)


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
