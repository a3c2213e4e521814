"""What an audit asks: the rows that stand, chunk by chunk, and whose name a path is."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, false, func, select

from frameferry.domain.audit import AuditedRow, CountedRange, Known, Span
from frameferry.ledger.database.bulk import as_text_set
from frameferry.ledger.database.tables import (
    batch,
    batch_range,
    current,
    gap,
    kept_name,
    progress,
    record,
)
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline
from frameferry.ledger.records.names import name_key


def audited_spans(connection: Connection, name: str) -> list[Span]:
    """List each partition of each generation, in order, with where it began and is committed to."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = (
        select(
            progress.c.generation,
            progress.c.partition,
            func.coalesce(progress.c.start_offset, 0),
            progress.c.committed_offset,
        )
        .where(progress.c.pipeline_id == key.id)
        .order_by(progress.c.generation, progress.c.partition)
    )
    return [Span(*row) for row in connection.execute(query)]


def audited_rows(
    connection: Connection, name: str, span: Span, *, start: int, limit: int, began: datetime
) -> list[AuditedRow]:
    """
    List at most *limit* rows that stand for offsets of a span from *start* on, by offset.

    What was delivered since *began*, by the database's clock, is fresh. Each question is a snapshot
    of its own: a reader of a million rows must not hold one so long.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    holder = record.alias("holder")
    query = (
        select(
            record.c.generation,
            record.c.partition,
            record.c.offset,
            record.c.timestamp_ms,
            record.c.destination,
            func.coalesce(holder.c.remote_path, record.c.remote_path),
            record.c.size_bytes,
            record.c.sha256,
            record.c.outcome,
            record.c.part_path,
            func.coalesce(record.c.delivered_at >= began, false()),
        )
        .select_from(current)
        .join(record, record.c.id == current.c.record_id)
        .outerjoin(holder, holder.c.id == record.c.duplicate_of)
        .where(*_in_span(key, span), current.c.offset >= start)
        .order_by(current.c.offset)
        .limit(limit)
    )
    return [AuditedRow._make(row) for row in connection.execute(query)]


def _in_span(key: PipelineKey, span: Span) -> tuple[ColumnElement[bool], ...]:
    return (
        current.c.pipeline_id == key.id,
        current.c.generation == span.generation,
        current.c.partition == span.partition,
    )


def counted_ranges(
    connection: Connection, name: str, generation: int, *, since: tuple[int, int], limit: int
) -> list[CountedRange]:
    """
    List at most *limit* delivered ranges of live batches, by partition and offset.

    A batch that was split is left out: its pieces are there. *since* is the first partition and
    start that is wanted.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    partition, start = since
    query = (
        select(
            batch_range.c.batch_id,
            batch_range.c.partition,
            batch_range.c.start_offset,
            batch_range.c.end_offset,
            func.coalesce(batch_range.c.seen_from, batch_range.c.start_offset),
            batch_range.c.record_count,
            batch_range.c.offsets_digest,
            batch.c.pruned_at.is_not(None),
        )
        .join(batch, batch.c.id == batch_range.c.batch_id)
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.generation == generation,
            batch.c.kind == "live",
            batch.c.split_at.is_(None),
            batch_range.c.record_count.is_not(None),
            (batch_range.c.partition > partition)
            | ((batch_range.c.partition == partition) & (batch_range.c.start_offset >= start)),
        )
        .order_by(batch_range.c.partition, batch_range.c.start_offset)
        .limit(limit)
    )
    return [CountedRange._make(row) for row in connection.execute(query)]


def lost_ranges(connection: Connection, name: str, span: Span) -> list[tuple[int, int, bool]]:
    """List the gaps of a span as (start, end, whether a person accepted it), in order."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = (
        select(gap.c.start_offset, gap.c.end_offset, gap.c.accepted_by.is_not(None))
        .where(
            gap.c.pipeline_id == key.id,
            gap.c.generation == span.generation,
            gap.c.partition == span.partition,
        )
        .order_by(gap.c.start_offset)
    )
    return [(start, end, bool(accepted)) for start, end, accepted in connection.execute(query)]


def known_paths(connection: Connection, *, destination: str, paths: Collection[str]) -> Known:
    """
    Say which paths at a destination are some record's, of any pipeline, delivered or due.

    A pruned record keeps its name by digest only, so that capitals make no difference there.
    """
    keys = {path: name_key(path) for path in paths}
    wanted = as_text_set(connection, list(set(keys.values())))
    rows = select(record.c.remote_path).where(
        record.c.destination == destination, record.c.name_key.in_(wanted)
    )
    kept = select(kept_name.c.name_key).where(
        kept_name.c.destination == destination, kept_name.c.name_key.in_(wanted)
    )
    held = set(connection.scalars(rows))
    pruned = set(connection.scalars(kept))
    return Known(
        frozenset(path for path in paths if path in held),
        frozenset(path for path, key in keys.items() if key in pruned),
    )


def count_pruned(connection: Connection, name: str) -> int:
    """Count the names that pruned records of a pipeline keep."""
    key = find_pipeline(connection, name)
    if key is None:
        return 0
    query = select(func.count()).select_from(kept_name).where(kept_name.c.pipeline_id == key.id)
    return connection.execute(query).scalar_one()
