"""Ten thousand rows in one statement, on either database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Table,
    Text,
    func,
    literal,
    select,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import TypeEngine

from frameferry.ledger.database.tables import record


def insert_rows(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """
    Insert rows that all have the same columns, in the driver's fastest way.

    Values reach the driver as they are: no column of these rows may be a moment.
    """
    if not rows:
        return
    names = list(rows[0])
    insert_values(connection, table, names, [tuple(row[name] for name in names) for row in rows])


def insert_values(
    connection: Connection, table: Table, names: Sequence[str], values: Sequence[tuple[Any, ...]]
) -> None:
    """Insert tuples in the order of *names*; see `insert_rows`."""
    quoted = ", ".join(connection.dialect.identifier_preparer.quote(name) for name in names)
    if connection.dialect.name == "sqlite":
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table.name} ({quoted}) VALUES ({marks})"  # noqa: S608 - our own names
        connection.exec_driver_sql(statement, values)
    else:
        _copy(connection, f"COPY {table.name} ({quoted}) FROM STDIN", values)


def as_set(connection: Connection, ids: Sequence[int]) -> Select[Any]:
    """Make a sub-select of ids for IN: one parameter, however many they are."""
    return _as_set(connection, ids, BigInteger())


def as_text_set(connection: Connection, texts: Sequence[str]) -> Select[Any]:
    """Make a sub-select of texts for IN: one parameter, however many they are."""
    return _as_set(connection, texts, Text())


def as_pairs(connection: Connection, pairs: Sequence[tuple[int, str]]) -> FromClause:
    """Make a table of (id, text) pairs for UPDATE … FROM: its columns are `id` and `value`."""
    return _as_pairs(connection, pairs, Text())


def as_id_pairs(connection: Connection, pairs: Sequence[tuple[int, int]]) -> FromClause:
    """Make a table of (id, id) pairs for UPDATE … FROM: its columns are `id` and `value`."""
    return _as_pairs(connection, pairs, BigInteger())


def among(batch_id: int) -> ColumnElement[bool]:
    """
    Hold for a batch's records, beside a condition on their ids.

    The ids are to find the rows. The sum keeps the planner from walking the whole batch by its
    index for each id: a batch's rows are new, and no statistics know how many there are.
    """
    return record.c.batch_id + 0 == batch_id


def _as_set(
    connection: Connection, values: Sequence[int] | Sequence[str], of_type: TypeEngine[Any]
) -> Select[Any]:
    if connection.dialect.name == "sqlite":
        return select(func.json_each(json.dumps(values)).table_valued("value").c.value)
    return select(func.unnest(literal(list(values), ARRAY(of_type))))


def _as_pairs(
    connection: Connection, pairs: Sequence[tuple[int, int | str]], of_type: TypeEngine[Any]
) -> FromClause:
    if connection.dialect.name == "sqlite":
        each = func.json_each(json.dumps(pairs)).table_valued("value").alias("each")
        first = func.json_extract(each.c.value, "$[0]").label("id")
        return select(first, func.json_extract(each.c.value, "$[1]").label("value")).subquery(
            "pair"
        )
    ids = literal([pair[0] for pair in pairs], ARRAY(BigInteger()))
    values = literal([pair[1] for pair in pairs], ARRAY(of_type))
    return func.unnest(ids, values).table_valued("id", "value").render_derived("pair")


def _copy(connection: Connection, statement: str, values: Sequence[tuple[Any, ...]]) -> None:
    driver = connection.dialect.loaded_dbapi
    try:
        with connection.connection.cursor() as cursor, cursor.copy(statement) as copy:  # type: ignore[attr-defined]
            for row in values:
                copy.write_row(row)
    except driver.Error as error:
        # SQLAlchemy does not see what bypasses it; its own errors are what we translate.
        raise DBAPIError.instance(statement, None, error, driver.Error) from error
