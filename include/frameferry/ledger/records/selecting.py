"""Find the offsets that a person selects by what is known of their records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.tables import batch, current, progress, quarantine, record
from frameferry.ledger.progress.commits import committed_offsets
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline

_AT_ONCE: Final = 1000


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


def predicted_ranges(
    connection: Connection,
    name: str,
    among: Sequence[OffsetRange],
    *,
    label: str | None,
    below: float | None,
    window_ms: tuple[int, int] | None,
    most: int,
) -> list[OffsetRange]:
    """
    List the offsets whose standing rows have a label, or a lower score, in order.

    Offsets that follow each other are one range, and no other offset lies in any. Rows are read
    one by one, of a label by its index.

    Args:
        connection: Its transaction.
        name: The pipeline.
        among: Where to look: committed ranges of the newest generation, in order.
        label: The label; None: any.
        below: The score's bound, exclusive; None: any.
        window_ms: Bounds of the records' own timestamps, the second exclusive; None: any.
        most: After one more range than this nothing is looked for.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    picked: list[ColumnElement[bool]] = []
    if label is not None:
        picked.append(record.c.label == label)
    if below is not None:
        picked.append(record.c.score < below)
    if window_ms is not None:
        start_ms, end_ms = window_ms
        picked += [record.c.timestamp_ms >= start_ms, record.c.timestamp_ms < end_ms]
    # The index of labels is the records', and that of positions `current`'s.
    source = current if label is None else record
    places = (
        (one.partition, offset)
        for one in among
        for offset in _standing_offsets(connection, key, source, one, picked)
    )
    return _joined(places, most)


def _standing_offsets(
    connection: Connection,
    key: PipelineKey,
    source: Table,
    among: OffsetRange,
    picked: Sequence[ColumnElement[bool]],
) -> Iterator[int]:
    query = (
        select(source.c.offset)
        .select_from(current)
        .join(record, record.c.id == current.c.record_id)
        .where(
            source.c.pipeline_id == key.id,
            source.c.generation == key.generation,
            source.c.partition == among.partition,
            source.c.offset >= among.start,
            source.c.offset < among.end,
            *picked,
        )
        .order_by(source.c.offset)
    )
    with connection.execute(query, execution_options={"yield_per": _AT_ONCE}) as rows:
        yield from rows.scalars()


def last_failed_batch(connection: Connection, name: str) -> int | None:
    """Find the newest live batch that failed, or a piece of which did; None if none did."""
    key = find_pipeline(connection, name)
    if key is None:
        return None
    query = select(func.coalesce(batch.c.root_id, batch.c.id)).where(
        batch.c.pipeline_id == key.id,
        batch.c.generation == key.generation,
        batch.c.kind == "live",
        batch.c.last_error.is_not(None) | batch.c.last_failure.is_not(None),
    )
    found = connection.scalar(query.order_by(batch.c.id.desc()).limit(1))
    return None if found is None else int(found)


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


def _joined(places: Iterable[tuple[int, int]], most: int | None = None) -> list[OffsetRange]:
    joined: list[OffsetRange] = []
    for partition, offset in places:
        last = joined[-1] if joined else None
        if last is not None and (last.partition, last.end) == (partition, offset):
            joined[-1] = OffsetRange(partition, last.start, offset + 1)
        elif len(joined) == (None if most is None else most + 1):
            break
        else:
            joined.append(OffsetRange(partition, offset, offset + 1))
    return joined
