"""One pipeline's state in one snapshot: what planner, wait and status decide on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, func, or_, select

from frameferry.domain.batch import BatchCost
from frameferry.domain.offsets import OffsetRange, Progress
from frameferry.domain.state import Block, OpenBatch, PipelineState
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, batch_range, pipeline, progress
from frameferry.ledger.guards.claims import is_stopped, ranges_of
from frameferry.ledger.progress.chain import follow, read_links
from frameferry.ledger.progress.pipelines import PipelineKey

KNOWN_BATCHES: Final = 150
"""How many of the last delivered batches the planner knows the cost of."""


def pipeline_state(connection: Connection, name: str) -> PipelineState | None:
    """Read what planner, wait and status decide on, in one snapshot; None if not registered."""
    query = select(pipeline, from_now().label("now")).where(pipeline.c.name == name)
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    key = PipelineKey(row.id, row.generation)
    return PipelineState(
        name=name,
        generation=row.generation,
        cluster_id=row.cluster_id,
        topic_id=row.topic_id,
        blocked=None if row.blocked_at is None else _block(row),
        progress=_progress(connection, key),
        open_batches=_open_batches(connection, key.id),
        costs=_costs(connection, key),
        now=row.now,
        is_restored=row.restored_at is not None,
        recovered_to=_recovered_to(connection, key),
    )


def blocked(connection: Connection, name: str) -> Block | None:
    """Read what blocks a pipeline; None if nothing does, or it is not registered."""
    row = connection.execute(select(pipeline).where(pipeline.c.name == name)).one_or_none()
    return None if row is None or row.blocked_at is None else _block(row)


def _block(row: AnyRow) -> Block:
    return Block(reason=row.blocked_reason, digest=row.blocked_digest, since=row.blocked_at)


def _progress(connection: Connection, key: PipelineKey) -> dict[int, Progress]:
    query = select(
        progress.c.partition,
        progress.c.planned_offset,
        progress.c.committed_offset,
        progress.c.leader_epoch,
        progress.c.last_offset,
        progress.c.last_sha256,
        progress.c.start_offset,
    ).where(progress.c.pipeline_id == key.id, progress.c.generation == key.generation)
    rows = connection.execute(query.order_by(progress.c.partition)).all()
    return {
        partition: Progress(
            partition,
            planned,
            committed,
            epoch,
            last=None if last is None else (last, sha256),
            start=start or 0,
        )
        for partition, planned, committed, epoch, last, sha256, start in rows
    }


def _recovered_to(connection: Connection, key: PipelineKey) -> dict[int, int]:
    query = select(progress.c.partition, progress.c.recovered_to).where(
        progress.c.pipeline_id == key.id,
        progress.c.generation == key.generation,
        progress.c.recovered_to.is_not(None),
    )
    return dict(connection.execute(query).all())


def _open_batches(connection: Connection, pipeline_id: int) -> tuple[OpenBatch, ...]:
    """
    Read the open leaves of all generations: a generation that was left ends by its own work.

    The query names generations and asks for no order. Otherwise SQLite would take the index of all
    batches ever instead of that of the open ones.
    """
    query = select(batch, is_stopped().label("is_stopped")).where(
        batch.c.pipeline_id == pipeline_id,
        batch.c.generation >= 1,
        batch.c.committed_at.is_(None),
        batch.c.split_at.is_(None),
    )
    leaves = sorted(connection.execute(query).all(), key=lambda leaf: int(leaf.id))
    ranges = ranges_of(connection, [leaf.id for leaf in leaves])
    reached = {
        generation: _reached(connection, PipelineKey(pipeline_id, generation), leaves)
        for generation in {leaf.generation for leaf in leaves}
    }
    return tuple(_open_batch(leaf, ranges[leaf.id], reached[leaf.generation]) for leaf in leaves)


def _reached(connection: Connection, key: PipelineKey, leaves: Sequence[AnyRow]) -> dict[int, int]:
    """Find where a commit now would take the committed offsets; empty while nothing is finished."""
    mine = [leaf for leaf in leaves if leaf.generation == key.generation]
    if all(leaf.delivered_at is None for leaf in mine):
        return {}
    now_at = _progress(connection, key)
    committed = {partition: at.committed for partition, at in now_at.items()}
    return follow(committed, read_links(connection, key))


def _open_batch(
    leaf: AnyRow, ranges: tuple[OffsetRange, ...], reached: Mapping[int, int]
) -> OpenBatch:
    finished = leaf.delivered_at is not None
    return OpenBatch(
        id=leaf.id,
        root_id=leaf.root_id or leaf.id,
        kind=leaf.kind,
        ranges=ranges,
        inferred=leaf.inferred_at is not None,
        finished=finished,
        held_by_gap=finished
        and leaf.kind == "live"
        and any(span.end > reached.get(span.partition, 0) for span in ranges),
        retry_at=leaf.retry_at,
        leased_until=leaf.leased_until,
        last_error=leaf.last_error,
        sentence=leaf.sentence,
        is_piece=leaf.parent_id is not None,
        is_stopped=leaf.is_stopped,
    )


def _costs(connection: Connection, key: PipelineKey) -> tuple[BatchCost, ...]:
    """
    Read what the last delivered batches cost, without children of charged ones.

    Those were made small to find a guilty record: a batch of one says nothing of the pace, and
    would hold the pipeline up after each picture that cannot be judged.
    """
    offsets = (
        select(func.sum(batch_range.c.end_offset - batch_range.c.start_offset))
        .where(batch_range.c.batch_id == batch.c.id)
        .scalar_subquery()
    )
    query = (
        select(
            batch.c.infer_seconds,
            batch.c.loading_seconds,
            batch.c.deliver_seconds,
            batch.c.record_count,
            batch.c.byte_count,
            offsets.label("offsets"),
        )
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.kind == "live",
            batch.c.delivered_at.is_not(None),
            or_(batch.c.parent_id.is_(None), batch.c.charges == 0),
        )
        .order_by(batch.c.id.desc())
        .limit(KNOWN_BATCHES)
    )
    return tuple(_cost(row) for row in connection.execute(query))


def _cost(row: AnyRow) -> BatchCost:
    return BatchCost(
        offsets=int(row.offsets),
        records=row.record_count or 0,
        size_bytes=row.byte_count or 0,
        infer_seconds=row.infer_seconds or 0.0,
        deliver_seconds=row.deliver_seconds or 0.0,
        loading_seconds=row.loading_seconds or 0.0,
    )
