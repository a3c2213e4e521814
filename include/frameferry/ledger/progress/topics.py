"""A topic whose offsets now mean other records: a person accepts it as the next generation."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, bindparam, select, update

from frameferry.errors import LedgerConflict
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, batch_range, pipeline, progress
from frameferry.ledger.database.text import storable
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import last_standing, lock_progress
from frameferry.ledger.progress.pipelines import (
    PipelineKey,
    add_partitions,
    need_pipeline,
    refuse_owned,
)


def accept_topic(
    connection: Connection,
    name: str,
    *,
    generation: int,
    cluster_id: str,
    topic_id: str,
    starts: Mapping[int, int],
    who: str,
    reason: str,
) -> None:
    """
    Begin the next generation on a person's word, and free the pipeline.

    Offsets mean other records in it, so files get other names. Open batches of the old generation
    go on, as far as the log still holds what they were planned from.

    Args:
        connection: Its transaction.
        name: The pipeline.
        generation: The one to leave; another call may have left it already.
        cluster_id: Of the topic as it is now.
        topic_id: Of the topic as it is now.
        starts: The first offset of the new generation, for each partition.
        who: The person.
        reason: In the person's words.

    Raises:
        LedgerConflict: The generation was left already.
    """
    key = need_pipeline(connection, name)
    lock_progress(connection, key)
    moved = connection.execute(
        update(pipeline)
        .where(pipeline.c.id == key.id, pipeline.c.generation == generation)
        .values(
            generation=generation + 1,
            cluster_id=cluster_id,
            topic_id=topic_id,
            blocked_reason=None,
            blocked_digest=None,
            blocked_at=None,
        )
    )
    if not moved.rowcount:
        msg = f"the pipeline is no longer in generation {generation}"
        raise LedgerConflict(msg, remedy=f"Look again: frameferry status {name}", pipeline=name)
    connection.execute(
        update(progress)
        .where(progress.c.pipeline_id == key.id, progress.c.retired_at.is_(None))
        .values(retired_at=from_now())
    )
    row = connection.execute(select(pipeline).where(pipeline.c.id == key.id)).one()
    refuse_owned(connection, row, starts)
    add_partitions(connection, row, starts)
    detail = f"generation {generation + 1}, topic id {topic_id}: {storable(reason)}"
    write_action(connection, who=who, what="accept topic", pipeline_id=key.id, detail=detail)


def superseded_from(connection: Connection, name: str, generation: int) -> dict[int, int]:
    """
    Find the offset from which each partition of a generation now holds other records.

    Empty for the newest generation. 0 if the topic is another one now. A partition of the same
    topic, whose log was not truncated, holds its records as far as it was planned.
    """
    key = need_pipeline(connection, name)
    row = connection.execute(select(pipeline).where(pipeline.c.id == key.id)).one()
    mine = _progress_of(connection, key.id, generation)
    # Whatever partitions the other topic has: none of them is one of this topic's.
    ends = {partition: 0 for partition, old in mine.items() if not _is_same_topic(old, row)}
    for newer in range(generation + 1, key.generation + 1):
        for partition, begun in _progress_of(connection, key.id, newer).items():
            old = mine.get(partition)
            if old is not None and _is_same_topic(old, begun):
                end = begun.start_offset or 0
                ends[partition] = min(end, ends.get(partition, end))
    return ends


def planned_of_topic(
    connection: Connection, name: str, *, cluster_id: str, topic_id: str
) -> dict[int, int]:
    """Find how far a topic was planned when the pipeline had it last; empty if it never had."""
    key = need_pipeline(connection, name)
    for generation in range(key.generation, 0, -1):
        found = {
            partition: row.planned_offset
            for partition, row in _progress_of(connection, key.id, generation).items()
            if (row.cluster_id, row.topic_id) == (cluster_id, topic_id)
        }
        if found:
            return found
    return {}


def finished_through(
    connection: Connection, name: str, *, partition: int, start: int, end: int
) -> int:
    """
    Find how far, from *start*, the ledger has a row for each record that there was.

    That is as far as batches that are finished and not pruned lead, at most to *end*.
    """
    key = need_pipeline(connection, name)
    finished: list[tuple[int, int]] = []
    for generation in range(1, key.generation + 1):
        upto = min(superseded_from(connection, name, generation).get(partition, end), end)
        query = (
            select(batch_range.c.start_offset, batch_range.c.end_offset)
            .join(batch, batch.c.id == batch_range.c.batch_id)
            .where(
                batch.c.pipeline_id == key.id,
                batch.c.generation == generation,
                batch.c.kind == "live",
                batch.c.delivered_at.is_not(None),
                batch.c.pruned_at.is_(None),
                batch_range.c.partition == partition,
                batch_range.c.start_offset < upto,
                batch_range.c.end_offset > start,
            )
        )
        finished += [(first, min(last, upto)) for first, last in connection.execute(query)]
    reached = start
    for first, last in sorted(finished):
        if first > reached:
            break
        reached = max(reached, last)
    return min(reached, end)


def _is_same_topic(one: AnyRow, other: AnyRow) -> bool:
    return bool((one.cluster_id, one.topic_id) == (other.cluster_id, other.topic_id))


def _progress_of(connection: Connection, pipeline_id: int, generation: int) -> dict[int, AnyRow]:
    query = select(progress).where(
        progress.c.pipeline_id == pipeline_id, progress.c.generation == generation
    )
    return {row.partition: row for row in connection.execute(query)}


def note_leader_epochs(connection: Connection, name: str, epochs: Mapping[int, int]) -> None:
    """Remember the leader epochs under which the logs were found to be the ones we know."""
    key = need_pipeline(connection, name)
    lock_progress(connection, key)
    connection.execute(
        update(progress)
        .where(
            progress.c.pipeline_id == key.id,
            progress.c.generation == key.generation,
            progress.c.partition == bindparam("of_partition"),
        )
        .values(leader_epoch=bindparam("epoch")),
        [{"of_partition": partition, "epoch": epoch} for partition, epoch in epochs.items()],
    )


def last_recorded(
    connection: Connection, name: str, *, partition: int, start: int, end: int
) -> tuple[int, str] | None:
    """Find offset and sha256 of the last standing row in `[start, end)`; None if there is none."""
    key: PipelineKey = need_pipeline(connection, name)
    found = []
    for generation in range(1, key.generation + 1):
        upto = min(superseded_from(connection, name, generation).get(partition, end), end)
        row = last_standing(connection, PipelineKey(key.id, generation), partition, start, upto)
        found += [] if row is None else [(row.offset, row.sha256)]
    return max(found, default=None)
