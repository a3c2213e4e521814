"""Kept copies: which pictures in quarantine have one, should have one, or need theirs no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, case, func, select, update

from frameferry.domain.keeping import Place, SetAside, Unkept, fitting
from frameferry.ledger.database.bulk import as_pairs, as_set
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import current, quarantine, record
from frameferry.ledger.progress.commits import committed_offsets
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline
from frameferry.ledger.records.searching import moment

_AT_ONCE: Final = 1000
_DATED_FROM_MS: Final = 946_684_800_000
"""The year 2000."""


def to_keep(connection: Connection, name: str, max_bytes: int) -> list[SetAside]:
    """
    List what is open in quarantine and fits into *max_bytes*, newest first.

    Of the newest generation: of an older one Kafka holds nothing any more.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    of_newest = record.c.generation == key.generation
    query = _open(key).where(of_newest).order_by(record.c.id.desc())
    with connection.execute(query, execution_options={"yield_per": _AT_ONCE}) as rows:
        return list(fitting(map(_set_aside, rows), max_bytes))


def set_aside_at(connection: Connection, name: str, partition: int, offset: int) -> SetAside | None:
    """Find what stands in quarantine at an offset, open or resolved, of the newest generation."""
    key = find_pipeline(connection, name)
    if key is None:
        return None
    return _at(connection, key, Place(key.generation, partition, offset))


def still_set_aside(connection: Connection, name: str, places: Sequence[Place]) -> list[SetAside]:
    """Pick the places whose standing row is in quarantine, open or resolved."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    found = (_at(connection, key, place) for place in places)
    return [one for one in found if one is not None]


def note_kept(connection: Connection, file_names: Mapping[int, str] | Mapping[int, None]) -> None:
    """Write down the kept copy of records, by their ids; None takes it back. May be repeated."""
    gone = [record_id for record_id, file in file_names.items() if file is None]
    there = [(record_id, file) for record_id, file in file_names.items() if file is not None]
    taken_back = update(quarantine).where(quarantine.c.record_id.in_(as_set(connection, gone)))
    connection.execute(taken_back.values(kept_copy=None))
    pair = as_pairs(connection, there)
    noted = update(quarantine).where(quarantine.c.record_id == pair.c.id)
    connection.execute(noted.values(kept_copy=pair.c.value))


def unkept(connection: Connection, name: str, lows: Mapping[int, int]) -> dict[int, Unkept]:
    """
    Find what is open in quarantine without a kept copy, of what is committed and Kafka still holds.

    Args:
        connection: Its transaction.
        name: The pipeline.
        lows: The low watermark by partition; others are left out.

    Returns:
        By partition; one that has none is left out.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return {}
    committed = committed_offsets(connection, name)
    held = {p: (low, committed[p]) for p, low in lows.items() if low < committed.get(p, 0)}
    return dict(_unkept(connection, key, held))


def _unkept(
    connection: Connection, key: PipelineKey, held: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[int, Unkept]]:
    # A camera that lost its clock does not say how old its picture is.
    dated = case((record.c.timestamp_ms >= _DATED_FROM_MS, record.c.timestamp_ms))
    columns = (func.count(), func.min(record.c.offset), func.min(dated))
    for partition, (low, end) in held.items():
        query = _open(key, *columns).where(
            quarantine.c.kept_copy.is_(None),
            record.c.generation == key.generation,
            record.c.partition == partition,
            record.c.offset >= low,
            record.c.offset < end,
        )
        number, offset, timestamp_ms = connection.execute(query).one()
        if number:
            oldest_at = None if timestamp_ms is None else moment(timestamp_ms)
            yield partition, Unkept(number, offset, oldest_at)


_COLUMNS: Final = (
    record.c.id,
    record.c.generation,
    record.c.partition,
    record.c.offset,
    record.c.size_bytes,
    record.c.sha256,
    record.c.source_name,
    quarantine.c.kept_copy,
)


def _open(key: PipelineKey, *columns: Any) -> Select[Any]:  # noqa: ANN401 - any columns
    """Select from what stands in quarantine and is open, beginning at the quarantines."""
    return (
        select(*(columns or _COLUMNS))
        .select_from(quarantine)
        .join(record, record.c.id == quarantine.c.record_id)
        .join(current, current.c.record_id == record.c.id)
        # The sum keeps planners from walking all of a pipeline's records instead.
        .where(quarantine.c.resolved_at.is_(None), record.c.pipeline_id + 0 == key.id)
    )


def _at(connection: Connection, key: PipelineKey, place: Place) -> SetAside | None:
    query = (
        select(*_COLUMNS)
        .select_from(current)
        .join(record, record.c.id == current.c.record_id)
        .join(quarantine, quarantine.c.record_id == record.c.id)
        .where(
            current.c.pipeline_id == key.id,
            current.c.generation == place.generation,
            current.c.partition == place.partition,
            current.c.offset == place.offset,
            record.c.outcome == "quarantined",
        )
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _set_aside(row)


def _set_aside(row: AnyRow) -> SetAside:
    record_id, generation, partition, offset, *rest = row
    return SetAside(record_id, Place(generation, partition, offset), *rest)
