"""Gaps: offsets that Kafka lost. They hold back the committed offset until a person accepts."""

from __future__ import annotations

from sqlalchemy import Connection, insert, select, update

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.state import GapRow
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import gap
from frameferry.ledger.database.text import signature, storable
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import advance, lock_progress
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline, need_pipeline
from frameferry.ledger.progress.plans import move_planned


def record_gap(
    connection: Connection, name: str, *, partition: int, start: int, end: int, cause: str
) -> int:
    """
    Record that Kafka lost `[start, end)`, and let planning go on behind it.

    *start* must be the planned offset, which moves to *end*. The committed offset waits at
    *start* until a person accepts the gap.

    Returns:
        The gap's id.

    Raises:
        PlanStale: The planned offset is elsewhere.
    """
    key = need_pipeline(connection, name)
    lost = OffsetRange(partition, start, end)
    move_planned(connection, key, [lost], name)
    return insert_gap(connection, key, lost, cause)


def insert_gap(connection: Connection, key: PipelineKey, lost: OffsetRange, cause: str) -> int:
    """Write a gap down, unaccepted, and return its id."""
    statement = (
        insert(gap)
        .values(
            pipeline_id=key.id,
            generation=key.generation,
            partition=lost.partition,
            start_offset=lost.start,
            end_offset=lost.end,
            cause=storable(cause),
            found_at=from_now(),
        )
        .returning(gap.c.id)
    )
    return int(connection.execute(statement).scalar_one())


def accept_gap(connection: Connection, gap_id: int, *, who: str, reason: str) -> None:
    """Sign a gap off, so that the committed offset jumps; a second time changes nothing."""
    row = connection.execute(select(gap).where(gap.c.id == gap_id)).one_or_none()
    if row is None:
        msg = f"the ledger knows no gap {gap_id}"
        raise LedgerConflict(msg, remedy="See: frameferry gaps")
    key = PipelineKey(row.pipeline_id, row.generation)
    lock_progress(connection, key)
    accepted = connection.execute(
        update(gap)
        .where(gap.c.id == gap_id, gap.c.accepted_by.is_(None))
        .values(accepted_by=signature(who), accepted_at=from_now(), reason=storable(reason))
    )
    if accepted.rowcount:
        detail = f"gap {gap_id}, {row.partition}:[{row.start_offset}, {row.end_offset}): {reason}"
        write_action(
            connection, who=who, what="accept gap", pipeline_id=row.pipeline_id, detail=detail
        )
        advance(connection, key)


def list_gaps(connection: Connection, name: str) -> list[GapRow]:
    """List all gaps, oldest first, accepted or not."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = select(
        gap.c.id,
        gap.c.partition,
        gap.c.start_offset,
        gap.c.end_offset,
        gap.c.cause,
        gap.c.found_at,
        gap.c.accepted_by,
    ).where(gap.c.pipeline_id == key.id)
    return [GapRow(*row) for row in connection.execute(query.order_by(gap.c.id))]
