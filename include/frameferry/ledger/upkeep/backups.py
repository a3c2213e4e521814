"""Write the whole ledger into one file, while others go on writing to it."""

from __future__ import annotations

import os
import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from frameferry.errors import ConfigError, LedgerConflict
from frameferry.ledger.database.engines import make_engine, refuse_missing
from frameferry.ledger.database.schema import migrate, version_of
from frameferry.ledger.database.transactions import Transactions
from frameferry.ledger.upkeep.copying import allow_time, copy_rows, count_rows
from frameferry.ledger.upkeep.files import PRIVATE, give_name, told_of_file

_PAGES_AT_ONCE: Final = 1024


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that was written and verified."""

    file: str
    size_bytes: int
    version: str
    rows: dict[str, int]


def back_up(url: str, file: Path) -> Backup:
    """
    Write a consistent copy of the ledger to *file*, whole or not at all, readable by us alone.

    The file is a SQLite database whatever the ledger lives in, with the ledger's own tables: it can
    be looked into, and restored into either database. It does not hold the URL, and so no password;
    log-ins are there as slow digests only, as in the ledger.

    Raises:
        ConfigError: The file is there already, its folder is not, or there is no room in it; or
            there is no ledger.
        LedgerConflict: The copy is damaged, or the ledger does not have this program's schema.
        LedgerUnavailable: The database is down.
    """
    _refuse_place(file)
    refuse_missing(url)
    with _draft(file) as draft:
        _fill(url, draft, file)
        backup = _verified(draft, file)
        _put(draft, file)
    return backup


@contextmanager
def open_copy(file: Path) -> Iterator[Transactions]:
    """Open a ledger's file for as long as the block lasts, without checking its host."""
    transactions = Transactions(make_engine(f"sqlite:///{file}"))
    try:
        yield transactions
    finally:
        transactions.close()


def refuse_damaged(connection: Connection, file: Path) -> None:
    """
    Check a SQLite ledger, from its pages up to its references.

    Raises:
        LedgerConflict: Says what is wrong with it.
    """
    flaws = list(connection.scalars(text("PRAGMA integrity_check(3)")))
    broken = connection.execute(text("PRAGMA foreign_key_check")).first()
    if flaws == ["ok"] and broken is None:
        return
    what = "; ".join(flaws) if flaws != ["ok"] else f"a row of {broken[0]} refers to nothing"  # type: ignore[index]
    msg = f"{file} is damaged: {what}"
    raise LedgerConflict(msg, remedy="Use another backup")


def _refuse_place(file: Path) -> None:
    if file.exists():
        msg = f"{file} is there already"
        raise ConfigError(msg, remedy="Give each backup a name of its own; none is overwritten")
    if not file.parent.is_dir():
        msg = f"the folder {file.parent} is not there"
        raise ConfigError(msg, remedy="Make it first")


def _refuse_empty(source: Transactions) -> None:
    with source.read() as connection:
        if version_of(connection) is None:
            msg = "there is no ledger in this database"
            raise ConfigError(msg, remedy="Is FRAMEFERRY_LEDGER_URL right?")


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """Make an empty file beside the final one, ours alone; nothing is left of it at the end."""
    draft = file.with_name(f".{file.name}.{secrets.token_hex(4)}.draft")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, PRIVATE))
    except OSError as error:
        msg = f"{file} cannot be written: {error.strerror}"
        raise ConfigError(msg, remedy="Name a folder that may be written to") from error
    try:
        yield draft
    finally:
        for suffix in ("", "-wal", "-shm", "-journal"):
            draft.with_name(draft.name + suffix).unlink(missing_ok=True)


def _fill(url: str, draft: Path, file: Path) -> None:
    with ExitStack() as stack:
        source = Transactions(make_engine(url))
        stack.callback(source.close)
        _refuse_empty(source)
        migrate(source)
        if url.startswith("sqlite"):
            with source.read() as connection:
                _copy_pages(connection, draft, file)
        else:
            stack.enter_context(_told(file))
            target = stack.enter_context(open_copy(draft))
            migrate(target)
            with source.read() as reading, target.write() as writing:
                allow_time(reading)
                copy_rows(reading, writing)


def _copy_pages(connection: Connection, draft: Path, file: Path) -> None:
    """Copy in SQLite's own way: what is written meanwhile is in it as a whole, or not at all."""
    raw = connection.connection.driver_connection
    assert isinstance(raw, sqlite3.Connection)
    # BEGIN alone takes no snapshot; without one each write from elsewhere begins the copy anew.
    connection.execute(text("SELECT count(*) FROM sqlite_master")).all()
    with _told(file), closing(sqlite3.connect(draft)) as target:
        raw.backup(target, pages=_PAGES_AT_ONCE)


def _verified(draft: Path, file: Path) -> Backup:
    with _told(file), open_copy(draft) as transactions, transactions.read() as connection:
        refuse_damaged(connection, file)
        version, rows = version_of(connection), count_rows(connection)
    with _told(file), closing(sqlite3.connect(draft)) as raw:
        # One file, with no log beside it.
        raw.execute("PRAGMA journal_mode = DELETE")
    return Backup(str(file), draft.stat().st_size, str(version), rows)


def _put(draft: Path, file: Path) -> None:
    """Give the draft its name; never over another file."""
    with _told(file):
        try:
            give_name(draft, file)
        except FileExistsError as error:
            msg = f"{file} is there already"
            raise ConfigError(msg, remedy="Give each backup a name of its own") from error


def _told(file: Path) -> AbstractContextManager[None]:
    remedy = "Make room there, or name another folder; nothing is left of this try"
    return told_of_file(f"the backup {file} cannot be written", remedy)
