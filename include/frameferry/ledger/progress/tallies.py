"""
Totals of what ended: each committed batch's standing rows are counted once, not at every look.

A replay moves what stands; the batches that it touches are counted anew.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, Select, delete, func, select, text, update

from frameferry.ledger.database.bulk import as_set
from frameferry.ledger.database.tables import batch, current, record, tally
from frameferry.ledger.progress.pipelines import PipelineKey

Total = tuple[str | None, str | None, int]
_IS_UNTALLIED = text("NOT batch.is_tallied")
"""Spelled as in the partial index: SQLite compares the words."""


def write_tallies(connection: Connection, key: PipelineKey) -> None:
    """Count the batches that ended and were not counted yet, or were changed since."""
    ended = batch.c.committed_at.is_not(None) | batch.c.split_at.is_not(None)
    fresh = _untallied(key).where(ended)
    for batch_id in list(connection.scalars(fresh)):
        _mark(connection, [batch_id], is_tallied=True)
        counted = _standing(record.c.batch_id == batch_id).subquery()
        columns = ["batch_id", "outcome", "label", "number"]
        connection.execute(tally.insert().from_select(columns, select(counted)))


def drop_tallies(connection: Connection, record_ids: Sequence[int]) -> None:
    """
    Forget the totals of the batches whose rows cease to stand.

    A pruned batch cannot be counted again: the rows are subtracted from its totals.
    """
    touched = (
        select(record.c.batch_id, batch.c.pruned_at.is_not(None))
        .join(batch, batch.c.id == record.c.batch_id)
        .where(record.c.id.in_(as_set(connection, record_ids)))
    )
    found = connection.execute(touched.distinct()).all()
    fresh = sorted(batch_id for batch_id, is_pruned in found if not is_pruned)
    _mark(connection, fresh, is_tallied=False)
    connection.execute(delete(tally).where(tally.c.batch_id.in_(as_set(connection, fresh))))
    if pruned := sorted(batch_id for batch_id, is_pruned in found if is_pruned):
        _take_off(connection, pruned, record_ids)


def _take_off(connection: Connection, batch_ids: Sequence[int], record_ids: Sequence[int]) -> None:
    _mark(connection, batch_ids, is_tallied=True)
    label = func.coalesce(record.c.label, "")
    mine = record.c.id.in_(as_set(connection, record_ids))
    number = (
        select(func.count())
        .where(
            mine,
            record.c.batch_id == tally.c.batch_id,
            record.c.outcome == tally.c.outcome,
            label == tally.c.label,
        )
        .scalar_subquery()
    )
    of_these = tally.c.batch_id.in_(as_set(connection, batch_ids))
    connection.execute(delete(tally).where(of_these, tally.c.number <= number))
    connection.execute(
        update(tally).where(of_these, number > 0).values(number=tally.c.number - number)
    )


def totals(connection: Connection, key: PipelineKey) -> list[Total]:
    """Count all standing rows by outcome and label: totals, and the rows of batches without one."""
    query = (
        select(tally.c.outcome, tally.c.label, func.sum(tally.c.number))
        .join(batch, batch.c.id == tally.c.batch_id)
        .where(batch.c.pipeline_id == key.id)
        .group_by(tally.c.outcome, tally.c.label)
    )
    found: list[Total] = [
        (outcome, label or None, int(number))
        for outcome, label, number in connection.execute(query)
    ]
    # Their ids first: without fresh statistics PostgreSQL would count all rows there are.
    open_ids = list(connection.scalars(_untallied(key)))
    if not open_ids:
        return found
    standing = _standing(record.c.batch_id.in_(as_set(connection, open_ids))).subquery()
    rows = select(standing.c.outcome, standing.c.label, func.sum(standing.c.number))
    found += [
        (outcome, label or None, int(number))
        for outcome, label, number in connection.execute(
            rows.group_by(standing.c.outcome, standing.c.label)
        )
    ]
    return found


def _mark(connection: Connection, batch_ids: Sequence[int], *, is_tallied: bool) -> None:
    """Mark the batches first, so that counting and moving rows wait for each other."""
    mine = batch.c.id.in_(as_set(connection, batch_ids))
    connection.execute(update(batch).where(mine).values(is_tallied=is_tallied))


def _untallied(key: PipelineKey) -> Select[int]:
    return (
        select(batch.c.id).where(batch.c.pipeline_id == key.id, _IS_UNTALLIED).order_by(batch.c.id)
    )


def _standing(of: ColumnElement[bool]) -> Select[int, str | None, str, int]:
    """
    Count the standing rows of batches.

    A scalar sub-select is looked up row by row; a join would, on a large ledger without fresh
    statistics, read all of `current` for each batch.
    """
    label = func.coalesce(record.c.label, "")
    stands = (
        select(current.c.record_id)
        .where(
            current.c.pipeline_id == record.c.pipeline_id,
            current.c.generation == record.c.generation,
            current.c.partition == record.c.partition,
            current.c.offset == record.c.offset,
        )
        .scalar_subquery()
    )
    return (
        select(
            record.c.batch_id, record.c.outcome, label.label("label"), func.count().label("number")
        )
        .where(of, stands == record.c.id)
        .group_by(record.c.batch_id, record.c.outcome, label)
    )
