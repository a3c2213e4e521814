"""What SQLite and PostgreSQL both can, but SQLAlchemy spells per dialect; and statement sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

ItemT = TypeVar("ItemT")

CHUNK: Final = 1000
"""Values of one IN list: well below every limit on parameters."""


def upsert(connection: Connection, table: Table) -> postgresql.Insert | sqlite.Insert:
    """Begin an INSERT that may say ON CONFLICT."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def chunks(items: Sequence[ItemT]) -> Iterator[Sequence[ItemT]]:
    """Cut a sequence into pieces for IN lists."""
    for start in range(0, len(items), CHUNK):
        yield items[start : start + CHUNK]
