"""
Remove records that nobody asks for any more, after writing them to files that outlive the ledger.

A pruned record keeps its name, so that no other takes it, and its place in the totals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, delete, exists, select, update

from frameferry.ledger.database.bulk import as_set
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow, upsert
from frameferry.ledger.database.tables import (
    batch,
    batch_range,
    current,
    kept_name,
    pipeline,
    quarantine,
    record,
)
from frameferry.ledger.database.transactions import Transactions
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import lock_progress
from frameferry.ledger.progress.pipelines import PipelineKey

Export = Callable[[str, Sequence[int], Sequence[AnyRow]], str]
"""Write (pipeline, batch ids, rows) to a file, whole, and return its name."""
FILE_RECORDS: Final = 50_000
"""Batches are gathered into one file up to about this many records; each is one transaction."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was removed from one pipeline, and the files that hold it."""

    pipeline: str
    batches: int
    records: int
    files: tuple[str, ...]


def prune(
    transactions: Transactions, *, older_than_seconds: float, export: Export, who: str
) -> list[Pruned]:
    """
    Export and remove, batch by batch, the records of batches committed long enough ago.

    Records stay if something still refers to them: a duplicate, an unresolved quarantine, an open
    batch over the same offsets.

    Args:
        transactions: The ledger's.
        older_than_seconds: By the database's clock, since the commit.
        export: Called before anything of its batches is removed. If a run was broken off, the next
            one exports again what was not removed.
        who: The person, for the record.

    Raises:
        LedgerUnavailable: The database is down; what was removed by then is exported.
    """
    with transactions.read() as connection:
        known = connection.execute(select(pipeline.c.id, pipeline.c.name).order_by(pipeline.c.id))
        pipelines = known.all()
    return [
        _prune_pipeline(transactions, row, older_than_seconds, export, who) for row in pipelines
    ]


def _prune_pipeline(
    transactions: Transactions, of: AnyRow, older_than_seconds: float, export: Export, who: str
) -> Pruned:
    """Remove until nothing more can be: a record is free once its duplicates are gone."""
    removed: dict[int, int] = {}
    files: list[str] = []
    while True:
        before = sum(removed.values())
        for chunk in _chunks(transactions, of.id, older_than_seconds):
            files.append(export(of.name, list(chunk), [r for rows in chunk.values() for r in rows]))
            for batch_id, rows in chunk.items():
                with transactions.write() as connection:
                    gone = _remove(connection, batch_id, [row.id for row in rows])
                removed[batch_id] = removed.get(batch_id, 0) + gone
        if sum(removed.values()) == before:
            break
    pruned = Pruned(of.name, sum(map(bool, removed.values())), before, tuple(files))
    if pruned.records:
        detail = f"{pruned.records} records of {pruned.batches} batches, to {', '.join(files)}"
        with transactions.write() as connection:
            write_action(connection, who=who, what="prune", pipeline_id=of.id, detail=detail)
    return pruned


def _chunks(
    transactions: Transactions, pipeline_id: int, older_than_seconds: float
) -> Iterator[dict[int, Sequence[AnyRow]]]:
    """Gather batches, newest first since duplicates are younger than what they lean on."""
    chunk: dict[int, Sequence[AnyRow]] = {}
    with transactions.read() as connection:
        due = _due(connection, pipeline_id, older_than_seconds)
    for batch_id in due:
        with transactions.read() as connection:
            rows = connection.execute(_exported(batch_id)).all()
        if rows:
            chunk[batch_id] = rows
        if sum(map(len, chunk.values())) >= FILE_RECORDS:
            yield chunk
            chunk = {}
    if chunk:
        yield chunk


def _due(connection: Connection, pipeline_id: int, older_than_seconds: float) -> list[int]:
    query = select(batch.c.id).where(
        batch.c.pipeline_id == pipeline_id,
        batch.c.committed_at < from_now(-older_than_seconds),
        batch.c.is_tallied,
        exists().where(record.c.batch_id == batch.c.id),
        ~_is_open_over(),
    )
    return list(connection.scalars(query.order_by(batch.c.id.desc())))


def _is_open_over() -> ColumnElement[bool]:
    """Hold if an open batch, which is then a replay's, has offsets of this one."""
    mine, other, open_batch = batch_range.alias(), batch_range.alias(), batch.alias()
    return exists().where(
        mine.c.batch_id == batch.c.id,
        open_batch.c.pipeline_id == batch.c.pipeline_id,
        open_batch.c.generation == batch.c.generation,
        open_batch.c.committed_at.is_(None),
        open_batch.c.split_at.is_(None),
        other.c.batch_id == open_batch.c.id,
        other.c.partition == mine.c.partition,
        other.c.start_offset < mine.c.end_offset,
        other.c.end_offset > mine.c.start_offset,
    )


def _is_free() -> ColumnElement[bool]:
    """Hold for records that nothing refers to any more."""
    duplicate, why = record.alias(), quarantine.alias()
    unresolved = exists().where(why.c.record_id == record.c.id, why.c.resolved_at.is_(None))
    leaned_on = exists().where(duplicate.c.duplicate_of == record.c.id)
    return and_(record.c.outcome.is_not(None), ~unresolved, ~leaned_on)


def _exported(batch_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            record,
            pipeline.c.name.label("pipeline"),
            pipeline.c.topic,
            quarantine.c.reason,
            current.c.record_id.is_not(None).label("stands"),
        )
        .join(pipeline, pipeline.c.id == record.c.pipeline_id)
        .outerjoin(quarantine, quarantine.c.record_id == record.c.id)
        .outerjoin(current, current.c.record_id == record.c.id)
        .where(record.c.batch_id == batch_id, _is_free())
        .order_by(record.c.partition, record.c.offset)
    )


def _remove(connection: Connection, batch_id: int, exported: Sequence[int]) -> int:
    """Remove what was exported and is still free, in one transaction; say how many."""
    query = select(batch.c.pipeline_id, batch.c.generation).where(batch.c.id == batch_id)
    # A replay is added under the same locks, so that none begins over what is removed.
    lock_progress(connection, PipelineKey(*connection.execute(query).one()))
    if connection.scalar(select(_is_open_over()).where(batch.c.id == batch_id)):
        return 0
    free = select(record.c.id).where(record.c.id.in_(as_set(connection, exported)), _is_free())
    ids = list(connection.scalars(free))
    doomed = as_set(connection, ids)
    _keep_names(connection, ids)
    stood = connection.execute(delete(current).where(current.c.record_id.in_(doomed))).rowcount
    connection.execute(delete(quarantine).where(quarantine.c.record_id.in_(doomed)))
    connection.execute(delete(record).where(record.c.id.in_(doomed)))
    if stood:
        # Rows of a replay that stand instead of these are there: their offsets lack nothing.
        mark = update(batch).where(batch.c.id == batch_id)
        connection.execute(mark.values(pruned_at=from_now()))
    return len(ids)


def _keep_names(connection: Connection, ids: Sequence[int]) -> None:
    columns = [column.name for column in kept_name.columns]
    names = select(*(record.c[name] for name in columns)).where(
        record.c.id.in_(as_set(connection, ids)), record.c.name_key.is_not(None)
    )
    connection.execute(
        upsert(connection, kept_name).from_select(columns, names).on_conflict_do_nothing()
    )
