"""Compare and swap the planned offsets of many partitions, in each database's fastest way."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    Update,
    bindparam,
    func,
    literal,
    update,
)

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.tables import progress
from frameferry.ledger.progress.commits import lock_progress
from frameferry.ledger.progress.pipelines import PipelineKey


def swap_planned(connection: Connection, key: PipelineKey, ranges: Sequence[OffsetRange]) -> int:
    """
    Move each planned offset that is at a range's start to the range's end.

    PostgreSQL gets one statement for all. The rows are locked in partition order first, as by every
    writer of them: a statement over many rows takes them in an order of its own. SQLite has one
    writer at a time, and is faster row by row: it uses no index for a list of values.

    Returns:
        How many were moved.
    """
    swaps = [(span.partition, span.start, span.end) for span in ranges]
    if connection.dialect.name == "sqlite":
        names = ("of_partition", "from_offset", "to_offset")
        each = _swap(key, *(bindparam(name) for name in names))
        rows = [dict(zip(names, swap, strict=True)) for swap in swaps]
        return int(connection.execute(each, rows).rowcount)
    lock_progress(connection, key)
    columns = [literal(list(values), ARRAY(BigInteger())) for values in zip(*swaps, strict=True)]
    swap = func.unnest(*columns).table_valued("id", "start", "end").render_derived("swap")
    return int(connection.execute(_swap(key, swap.c.id, swap.c.start, swap.c.end)).rowcount)


def _swap(
    key: PipelineKey,
    partition: ColumnElement[int],
    start: ColumnElement[int],
    end: ColumnElement[int],
) -> Update:
    return (
        update(progress)
        .where(
            progress.c.pipeline_id == key.id,
            progress.c.generation == key.generation,
            progress.c.partition == partition,
            progress.c.planned_offset == start,
            progress.c.retired_at.is_(None),
        )
        .values(planned_offset=end)
    )
