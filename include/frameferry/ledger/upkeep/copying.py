"""Copy a whole ledger, row by row, between any two of its databases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Select, Table, func, select, text

from frameferry.ledger.database.bulk import insert_values
from frameferry.ledger.database.clock import UtcTime
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.schema import VERSION_TABLE, migrate_within, schema_of
from frameferry.ledger.database.tables import metadata, record
from frameferry.ledger.guards.epochs import last_ids, set_last_id

CHUNK_ROWS: Final = 5_000
_ACTION_FUNCTION: Final = "action_refuse_change"


def tables() -> list[Table]:
    """List the ledger's tables, each after those that it refers to."""
    return list(metadata.sorted_tables)


def copy_rows(source: Connection, target: Connection) -> dict[str, int]:
    """
    Copy every row, and the last ids given out, into empty tables, within both transactions.

    Returns:
        Rows by table.
    """
    copied = {table.name: _copy(source, target, table) for table in tables()}
    for table, last in last_ids(source).items():
        set_last_id(target, table, last)
    return copied


def count_rows(connection: Connection) -> dict[str, int]:
    """Count the rows of each table."""
    return {
        table.name: connection.scalar(select(func.count()).select_from(table)) or 0
        for table in tables()
    }


def begin_anew(connection: Connection) -> None:
    """Drop the whole ledger, and make it again, empty, in the caller's transaction."""
    connection.execute(text("DROP VIEW IF EXISTS predictions"))
    for table in reversed(tables()):
        connection.execute(text(f'DROP TABLE IF EXISTS "{table.name}"'))
    schema = schema_of(connection)
    prefix = f"{schema}." if schema else ""
    connection.execute(text(f"DROP TABLE IF EXISTS {prefix}{VERSION_TABLE}"))
    if schema:
        connection.execute(text(f"DROP FUNCTION IF EXISTS {prefix}{_ACTION_FUNCTION}()"))
    migrate_within(connection)


def allow_time(connection: Connection) -> None:
    """
    Let the statements of this transaction, and the pauses between them, last as long as they must.

    A large ledger is not a hang. A server that is gone still shows by its silence on the network.
    """
    if connection.dialect.name == "postgresql":
        for limit in ("statement_timeout", "idle_in_transaction_session_timeout"):
            connection.execute(text(f"SET LOCAL {limit} TO 0"))


def _copy(source: Connection, target: Connection, table: Table) -> int:
    names = [column.name for column in table.columns]
    count = 0
    for rows in _chunks(source, target, table):
        insert_values(target, table, names, rows)
        count += len(rows)
    return count


def _chunks(
    source: Connection, target: Connection, table: Table
) -> Iterator[list[tuple[Any, ...]]]:
    """Read a table in chunks, in an order in which no row refers to a later one."""
    streaming = source.execution_options(yield_per=CHUNK_ROWS)
    for rows_of in _passes(table):
        with streaming.execute(rows_of.order_by(*table.primary_key.columns)) as result:
            for rows in result.partitions(CHUNK_ROWS):
                yield _as_kept(rows, target, table)


def _passes(table: Table) -> tuple[Select[*tuple[Any, ...]], ...]:
    """Split the records in two, each in the order of an index: sorting them all takes too long."""
    if table is not record:
        return (select(table),)
    leans = record.c.duplicate_of.is_not(None)
    return select(table).where(~leans), select(table).where(leans)


def _as_kept(rows: Sequence[AnyRow], target: Connection, table: Table) -> list[tuple[Any, ...]]:
    """Write moments as the target keeps them: they reach its driver as they are."""
    moments = {
        at: column.type
        for at, column in enumerate(table.columns)
        if isinstance(column.type, UtcTime)
    }
    if not moments or target.dialect.name != "sqlite":
        return [tuple(row) for row in rows]
    return [
        tuple(
            moments[at].process_bind_param(value, target.dialect) if at in moments else value
            for at, value in enumerate(row)
        )
        for row in rows
    ]
