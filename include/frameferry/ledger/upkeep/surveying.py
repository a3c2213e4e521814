"""Say what a ledger is: where it lives, how old its schema is, what is in it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, Table, func, select, text

from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.schema import HEAD, is_known, version_of
from frameferry.ledger.database.tables import batch, ledger, metadata, pipeline
from frameferry.ledger.database.transactions import Transactions


@dataclass(frozen=True, slots=True)
class LedgerState:
    """
    A ledger as it lies there; opening it changes nothing.

    `version` is None if there is none yet. `to_recover` names the pipelines that were restored and
    not recovered since, None if the schema is older than this program's.
    """

    database: str
    version: str | None
    newest_version: str
    epoch: str | None
    pipelines: int | None
    batches: int | None
    to_recover: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class LedgerFitness:
    """
    Whether a ledger can be worked with as it lies there.

    `is_known` if this program can use or upgrade its schema. `now` is the database's clock. `lacks`
    names what this account may not do, as `INSERT record`. `folder` is SQLite's.
    """

    state: LedgerState
    is_known: bool
    now: datetime
    lacks: tuple[str, ...]
    folder: Path | None


_NEEDED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE")


def fitness(transactions: Transactions) -> LedgerFitness:
    """
    Look at a ledger as `survey` does, and at what this account may do.

    Raises:
        LedgerUnavailable: The database is down.
        LedgerConflict: This account may not even look.
    """
    state = survey(transactions)
    with transactions.read() as connection:
        path = connection.engine.url.database
        is_file = state.database == "sqlite" and path is not None
        folder = Path(path).parent if is_file and path else None
        return LedgerFitness(
            state=state,
            is_known=is_known(state.version),
            now=connection.execute(select(from_now())).scalar_one(),
            lacks=_unwritable(Path(str(path))) if is_file else _lacks(connection, state.version),
            folder=folder,
        )


def _unwritable(file: Path) -> tuple[str, ...]:
    return tuple(f"write {one}" for one in (file, file.parent) if not os.access(one, os.W_OK))


def _lacks(connection: Connection, version: str | None) -> tuple[str, ...]:
    """Ask PostgreSQL for the rights that `docs/operations.md` lists; nothing of an older schema."""
    if version != HEAD:
        return ()
    query = text("SELECT has_table_privilege(:name, :right)")
    return tuple(
        f"{right} {table.name}"
        for table in metadata.sorted_tables
        for right in _NEEDED
        if not connection.scalar(query, {"name": str(table.name), "right": right})
    )


def survey(transactions: Transactions) -> LedgerState:
    """
    Look at a ledger without upgrading it.

    Raises:
        LedgerUnavailable: The database is down.
    """
    with transactions.read() as connection:
        version = version_of(connection)
        is_ours = version == HEAD
        return LedgerState(
            database=connection.dialect.name,
            version=version,
            newest_version=HEAD,
            epoch=connection.scalar(select(ledger.c.epoch)) if version else None,
            pipelines=_count(connection, pipeline) if version else None,
            batches=_count(connection, batch) if version else None,
            to_recover=_to_recover(connection) if is_ours else None,
        )


def _count(connection: Connection, table: Table) -> int:
    return connection.scalar(select(func.count()).select_from(table)) or 0


def _to_recover(connection: Connection) -> tuple[str, ...]:
    query = select(pipeline.c.name).where(pipeline.c.restored_at.is_not(None))
    return tuple(connection.scalars(query.order_by(pipeline.c.name)))
