"""Open the ledger: the right database, the right schema, on the right host."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, select, update

from frameferry.errors import LedgerConflict
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow, upsert
from frameferry.ledger.database.engines import make_engine
from frameferry.ledger.database.schema import migrate
from frameferry.ledger.database.tables import ledger as ledger_table
from frameferry.ledger.database.transactions import Transactions
from frameferry.ledger.guards.epochs import new_epoch
from frameferry.ledger.store import Ledger

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def open_ledger(url: str) -> Ledger:
    """
    Open the ledger; an empty or older database is brought to this program's schema.

    Args:
        url: `sqlite:////absolute/path` (one host, a local disk) or `postgresql://…`.

    Raises:
        ConfigError: The URL names neither.
        LedgerConflict: A SQLite ledger of another host, a ledger of a newer Frameferry, or no
            ledger at all.
        LedgerUnavailable: The database is down or stays locked.
    """
    transactions = Transactions(make_engine(url))
    with ExitStack() as stack:
        stack.callback(transactions.close)
        migrate(transactions)
        _enter(transactions)
        ledger = Ledger(transactions)
        stack.pop_all()
    return ledger


def _enter(transactions: Transactions) -> None:
    """Check the host; the first to come makes the ledger's row."""
    with transactions.read() as connection:
        row = connection.execute(select(ledger_table)).one_or_none()
        if row is not None and _is_ours(connection, row):
            return
    with transactions.write() as connection:
        _introduce(connection)
        row = connection.execute(select(ledger_table)).one()
        _refuse_other_host(connection, row)
        connection.execute(
            update(ledger_table).values(host=_host(connection), boot_id=_boot_id(connection))
        )


def _introduce(connection: Connection) -> None:
    connection.execute(
        upsert(connection, ledger_table)
        .values(id=1, epoch=new_epoch(), created_at=from_now())
        .on_conflict_do_nothing()
    )


def _is_ours(connection: Connection, row: AnyRow) -> bool:
    return (row.host, row.boot_id) == (_host(connection), _boot_id(connection))


def _refuse_other_host(connection: Connection, row: AnyRow) -> None:
    """
    Refuse a SQLite ledger of another host: its log is shared through memory.

    Containers on one kernel are one host, though each has a name of its own.
    """
    here, boot = _host(connection), _boot_id(connection)
    if row.host in {None, here} or (row.boot_id is not None and row.boot_id == boot):
        return
    msg = f"this SQLite ledger belongs to host {row.host}, this is {here}"
    raise LedgerConflict(
        msg,
        remedy="Use PostgreSQL for more than one host; if the file was moved here for good, run: "
        "sqlite3 ledger.db 'UPDATE ledger SET host = NULL'",
    )


def _host(connection: Connection) -> str | None:
    return socket.gethostname() if connection.dialect.name == "sqlite" else None


def _boot_id(connection: Connection) -> str | None:
    if connection.dialect.name != "sqlite" or not _BOOT_ID.exists():
        return None
    return _BOOT_ID.read_text(encoding="ascii").strip()
