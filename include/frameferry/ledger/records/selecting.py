"""Find the offsets that a person selects by what is known of their records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import ColumnElement, Connection, func, select

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.tables import current, progress, quarantine, record
from frameferry.ledger.progress.commits import committed_offsets
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline


def quarantined_ranges(connection: Connection, name: str, reason: str) -> list[OffsetRange]:
    """
    List the offsets whose standing row is in quarantine for *reason*, in order.

    Only those below the committed offset, of the newest generation. Offsets that follow each other
    are one range, and no other offset lies in any.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = (
        select(record.c.partition, record.c.offset)
        .select_from(quarantine)
        .join(record, record.c.id == quarantine.c.record_id)
        .join(current, current.c.record_id == record.c.id)
        .join(progress, _is_its_progress())
        # The sum keeps planners from walking all of a pipeline's records instead.
        .where(
            quarantine.c.resolved_at.is_(None),
            quarantine.c.reason == reason,
            record.c.pipeline_id + 0 == key.id,
            record.c.generation == key.generation,
            record.c.offset < progress.c.committed_offset,
        )
        .order_by(record.c.partition, record.c.offset)
    )
    return _joined((partition, offset) for partition, offset in connection.execute(query))


def _is_its_progress() -> ColumnElement[bool]:
    return (
        (progress.c.pipeline_id == record.c.pipeline_id)
        & (progress.c.generation == record.c.generation)
        & (progress.c.partition == record.c.partition)
    )


def window_ranges(
    connection: Connection,
    name: str,
    *,
    start_ms: int,
    end_ms: int,
    floors: Mapping[int, int],
) -> list[OffsetRange]:
    """
    List the offsets of records whose own timestamps lie in `[start_ms, end_ms)`, in order.

    Only those below the committed offset, of the newest generation. Timestamps need not rise:
    no record of another time lies in a range; offsets without a row, such as markers, may.

    Args:
        connection: Its transaction.
        name: The pipeline.
        start_ms: The window's start, in milliseconds since 1970.
        end_ms: Its end, exclusive.
        floors: Per partition, an offset below which nothing needs to be looked at.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    is_within = (record.c.timestamp_ms >= start_ms) & (record.c.timestamp_ms < end_ms)
    return [
        one
        for partition, end in committed_offsets(connection, name).items()
        if (start := floors.get(partition, 0)) < end
        for one in _islands(connection, key, OffsetRange(partition, start, end), is_within)
    ]


def _islands(
    connection: Connection, key: PipelineKey, among: OffsetRange, is_picked: ColumnElement[bool]
) -> list[OffsetRange]:
    """Find the unbroken runs of standing rows that are picked."""
    rows = (
        select(
            current.c.offset,
            is_picked.label("is_picked"),
            func.row_number().over(order_by=current.c.offset).label("place"),
        )
        .join(record, record.c.id == current.c.record_id)
        .where(
            current.c.pipeline_id == key.id,
            current.c.generation == key.generation,
            current.c.partition == among.partition,
            current.c.offset >= among.start,
            current.c.offset < among.end,
        )
        .subquery()
    )
    rank = func.row_number().over(order_by=rows.c.offset)
    picked = select(rows.c.offset, (rows.c.place - rank).label("run")).where(rows.c.is_picked)
    runs = picked.subquery()
    first = func.min(runs.c.offset)
    query = select(first, func.max(runs.c.offset) + 1).group_by(runs.c.run).order_by(first)
    return [OffsetRange(among.partition, *bounds) for bounds in connection.execute(query)]


def _joined(places: Iterable[tuple[int, int]]) -> list[OffsetRange]:
    joined: list[OffsetRange] = []
    for partition, offset in places:
        last = joined[-1] if joined else None
        if last is not None and (last.partition, last.end) == (partition, offset):
            joined[-1] = OffsetRange(partition, last.start, offset + 1)
        else:
            joined.append(OffsetRange(partition, offset, offset + 1))
    return joined
