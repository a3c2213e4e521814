"""Move the committed offsets along the chain of finished ranges."""

from __future__ import annotations

from sqlalchemy import Connection, exists, select, update

from frameferry.errors import BatchUnfinished, PlanStale
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, batch_range, current, progress, record
from frameferry.ledger.guards.claims import find_batch
from frameferry.ledger.progress.chain import follow, read_links
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline, need_pipeline
from frameferry.ledger.progress.tallies import write_tallies


def commit(connection: Connection, batch_id: int) -> dict[int, int]:
    """
    Move the committed offsets along the chain of finished ranges; may be repeated.

    A finished batch behind an unfinished one, or behind a gap, is a success: the chain
    moves when that is finished or accepted. A replay moves nothing.

    Returns:
        The committed (next) offset of each of the pipeline's partitions.

    Raises:
        BatchUnfinished: The batch has no census yet.
    """
    found = find_batch(connection, batch_id)
    if found.delivered_at is None:
        msg = "the batch has no census yet, so it cannot be committed"
        raise BatchUnfinished(
            msg, remedy="Deliver it first", pipeline=found.pipeline, batch=batch_id
        )
    key = PipelineKey(need_pipeline(connection, found.pipeline).id, found.generation)
    if found.kind == "live":
        return advance(connection, key)
    connection.execute(
        update(batch)
        .where(batch.c.id == batch_id, batch.c.committed_at.is_(None))
        .values(committed_at=from_now())
    )
    write_tallies(connection, key)
    return _committed(connection, key)


def committed_offsets(connection: Connection, name: str) -> dict[int, int]:
    """Read the committed (next) offset of each partition; empty if not registered."""
    key = find_pipeline(connection, name)
    return {} if key is None else _committed(connection, key)


def lock_progress(connection: Connection, key: PipelineKey) -> dict[int, int]:
    """
    Lock a pipeline's progress in partition order, as every writer of it does.

    Returns:
        The committed offset of each partition.
    """
    query = (
        select(progress.c.partition, progress.c.committed_offset)
        .where(progress.c.pipeline_id == key.id, progress.c.generation == key.generation)
        .order_by(progress.c.partition)
        .with_for_update()
    )
    return dict(connection.execute(query).all())


def advance(connection: Connection, key: PipelineKey) -> dict[int, int]:
    """
    Follow the chain as far as it goes, in every partition.

    1. Lock the progress rows. 2. Follow the chain. 3. Swap the committed offsets. 4. Mark the
    batches that lie wholly below them.

    Returns:
        The committed (next) offset of each partition.
    """
    committed = lock_progress(connection, key)
    reached = follow(committed, read_links(connection, key))
    for partition, end in reached.items():
        if end != committed[partition]:
            _swap(connection, key, partition, committed[partition], end)
    _mark(connection, key)
    write_tallies(connection, key)
    return reached


def _committed(connection: Connection, key: PipelineKey) -> dict[int, int]:
    query = select(progress.c.partition, progress.c.committed_offset).where(
        progress.c.pipeline_id == key.id, progress.c.generation == key.generation
    )
    return dict(connection.execute(query.order_by(progress.c.partition)).all())


def last_standing(
    connection: Connection, key: PipelineKey, partition: int, start: int, end: int
) -> AnyRow | None:
    """Find offset and sha256 of the last standing row in `[start, end)` of a generation."""
    query = (
        select(record.c.offset, record.c.sha256)
        .join(current, current.c.record_id == record.c.id)
        .where(
            current.c.pipeline_id == key.id,
            current.c.generation == key.generation,
            current.c.partition == partition,
            current.c.offset >= start,
            current.c.offset < end,
        )
        .order_by(current.c.offset.desc())
        .limit(1)
    )
    return connection.execute(query).one_or_none()


def _swap(connection: Connection, key: PipelineKey, partition: int, start: int, end: int) -> None:
    last = last_standing(connection, key, partition, start, end)
    swapped = connection.execute(
        update(progress)
        .where(
            progress.c.pipeline_id == key.id,
            progress.c.generation == key.generation,
            progress.c.partition == partition,
            progress.c.committed_offset == start,
        )
        .values(
            committed_offset=end,
            **({} if last is None else {"last_offset": last.offset, "last_sha256": last.sha256}),
        )
    )
    if swapped.rowcount != 1:
        msg = "the committed offset has moved meanwhile"
        raise PlanStale(msg, remedy="Commit again", partition=partition)


def _mark(connection: Connection, key: PipelineKey) -> None:
    beyond = exists().where(
        batch_range.c.batch_id == batch.c.id,
        progress.c.pipeline_id == batch_range.c.pipeline_id,
        progress.c.generation == batch_range.c.generation,
        progress.c.partition == batch_range.c.partition,
        batch_range.c.end_offset > progress.c.committed_offset,
    )
    connection.execute(
        update(batch)
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.generation == key.generation,
            batch.c.kind == "live",
            batch.c.split_at.is_(None),
            batch.c.committed_at.is_(None),
            batch.c.delivered_at.is_not(None),
            ~beyond,
        )
        .values(committed_at=from_now())
    )
