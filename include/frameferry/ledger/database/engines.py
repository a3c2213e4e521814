"""Engines for the two databases, set up so that what is committed stays committed."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError

from frameferry.config.home import masked_url
from frameferry.errors import ConfigError, FrameferryError, LedgerConflict, LedgerUnavailable

BUSY_SECONDS: Final = 30
"""How long a statement waits for another writer, on either database."""
CONNECT_SECONDS: Final = 10
SCHEMA: Final = "frameferry"
"""The PostgreSQL schema of everything of ours, the migrations' version included."""
_WRITES: Final = "frameferry_writes"
_BUSY_POLL_SECONDS: Final = 0.05
_KEPT: Final = 4
"""How many engines are kept for reuse: those of the last databases."""


def make_engine(url: str) -> Engine:
    """
    Make an engine, and SQLite's file and folder if they are missing.

    A caller that opens a ledger again and again, such as `wait`, gets the same engine, with its
    compiled statements. Give it back with `release`.

    Raises:
        ConfigError: The URL is neither SQLite's (a file) nor PostgreSQL's.
        LedgerConflict: The file system cannot hold a write-ahead log, or the file is not a
            database.
        LedgerUnavailable: The file cannot be opened now.
    """
    parsed = _parsed(url)
    if parsed.get_backend_name() == "postgresql":
        return _HOLDERS.hold(_postgresql(parsed))
    path = Path(str(parsed.database))
    engine = _HOLDERS.hold(_sqlite(parsed, _made(path)))
    try:
        _switch_to_wal(engine, path)
    except FrameferryError:
        release(engine)
        raise
    return engine


def release(engine: Engine) -> None:
    """Give an engine back; its connections close once nobody in this process has it."""
    _HOLDERS.let_go(engine)


class _Holders:
    """
    How often each engine was made and not yet given back.

    A forked child begins anew: the engines and connections are its parent's.
    """

    def __init__(self) -> None:
        self._begin()
        os.register_at_fork(after_in_child=self._forget)

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._times: weakref.WeakKeyDictionary[Engine, int] = weakref.WeakKeyDictionary()

    def hold(self, engine: Engine) -> Engine:
        with self._lock:
            self._times[engine] = self._times.get(engine, 0) + 1
        return engine

    def let_go(self, engine: Engine) -> None:
        with self._lock:
            self._times[engine] = left = self._times.get(engine, 1) - 1
        if not left:
            engine.dispose()

    def _forget(self) -> None:
        for engine in list(self._times):
            engine.dispose(close=False)
        for made in (_sqlite, _postgresql):
            made.cache_clear()
        self._begin()


_HOLDERS: Final = _Holders()


def is_missing(url: str) -> bool:
    """
    Say whether a SQLite ledger has no file; a server's database is never missing.

    Raises:
        ConfigError: The URL names no ledger.
    """
    parsed = _parsed(url)
    return parsed.get_backend_name() == "sqlite" and not Path(str(parsed.database)).is_file()


def refuse_missing(url: str) -> None:
    """
    Refuse a SQLite ledger without a file: opening it would make an empty one.

    Raises:
        ConfigError: There is no such file.
    """
    if is_missing(url):
        msg = f"there is no ledger at {_parsed(url).database}"
        raise ConfigError(msg, remedy=_MISSING_REMEDY)


def readers(engine: Engine) -> Engine:
    """Derive the engine whose transactions only read: each sees one snapshot."""
    if engine.dialect.name == "sqlite":
        return engine
    return engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)


def writers(engine: Engine) -> Engine:
    """
    Derive the engine whose transactions write.

    On SQLite they take the write lock when they begin: a transaction that reads first and then
    writes would fail at once with *database is locked*, whatever the busy time-out.
    """
    return engine.execution_options(**{_WRITES: True})


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Without its cause, which may quote a password.
        msg = "the ledger's URL cannot be read"
        raise ConfigError(msg, remedy=_URL_REMEDY) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite" and parsed.database not in {None, "", ":memory:"}:
        return parsed.set(drivername="sqlite")
    if "@" in (parsed.host or ""):
        # A part of the password would be taken for the host, and named in errors.
        msg = "the ledger's URL has an @ after its host"
        raise ConfigError(msg, remedy="Percent-encode the password's own characters: @ is %40")
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    msg = f"the ledger cannot live in {masked_url(url)!r}"
    raise ConfigError(msg, remedy=_URL_REMEDY)


_URL_REMEDY: Final = (
    "Set FRAMEFERRY_LEDGER_URL to sqlite:////absolute/path/ledger.db "
    "or postgresql://user:password@host/database"
)

_MISSING_REMEDY: Final = (
    "Are FRAMEFERRY_LEDGER_URL and FRAMEFERRY_HOME right? "
    "If so, the first run makes it, or: frameferry ledger upgrade"
)


def _made(path: Path) -> int:
    """Make the file if it is missing; return its inode, since it may be exchanged."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the ledger's folder cannot be made: {error}"
        raise ConfigError(msg, remedy=_URL_REMEDY) from error
    with suppress(OSError):  # what is wrong with the file itself is said when it is opened
        if not path.exists():
            path.touch()
        return path.stat().st_ino
    return 0


@lru_cache(_KEPT)
def _sqlite(url: URL, _file: int) -> Engine:
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
    event.listen(engine, "connect", _sqlite_session)
    event.listen(engine, "begin", _sqlite_begin)
    return engine


def _sqlite_session(dbapi_connection: Any, _record: object) -> None:  # noqa: ANN401 - a driver's connection
    dbapi_connection.isolation_level = None
    dbapi_connection.execute("PRAGMA synchronous = FULL")
    dbapi_connection.execute("PRAGMA foreign_keys = ON")


def _sqlite_begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _switch_to_wal(engine: Engine, path: Path) -> None:
    """
    Make sure that the file has a write-ahead log.

    The switch needs the file to itself for a moment and ignores the busy time-out. Without this
    wait, processes that open a new ledger at once would fail.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = _journal_mode(engine)
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                msg = f"the ledger cannot be opened at {path}: {error}"
                raise LedgerUnavailable(msg, remedy="Is its folder writable?") from error
            time.sleep(_BUSY_POLL_SECONDS)
            continue
        except sqlite3.DatabaseError as error:
            msg = f"{path} is not a ledger: {error}"
            raise LedgerConflict(msg, remedy=_URL_REMEDY) from error
        if mode == "wal":
            return
        msg = f"the file system of {path} cannot hold a write-ahead log (journal mode {mode})"
        raise LedgerConflict(msg, remedy="Put the ledger on a local disk, or use PostgreSQL")


def _journal_mode(engine: Engine) -> str:
    raw = engine.raw_connection()
    try:
        cursor = raw.cursor()
        (mode,) = cursor.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":
            (mode,) = cursor.execute("PRAGMA journal_mode = WAL").fetchone()
        return str(mode)
    finally:
        raw.close()


@lru_cache(_KEPT)
def _postgresql(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "keepalives_idle": BUSY_SECONDS,
            "tcp_user_timeout": 2 * BUSY_SECONDS * 1000,
            # A pooler (PgBouncer, by transactions) gives each transaction another session.
            "prepare_threshold": None,
        },
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        pool_timeout=BUSY_SECONDS,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _postgresql_begin)
    return engine


def _postgresql_begin(connection: Connection) -> None:
    """Set what holds for one transaction: a pooler gives the session to another client next."""
    connection.exec_driver_sql(
        f"SET LOCAL search_path TO {SCHEMA};"
        "SET LOCAL TIME ZONE 'UTC';"
        f"SET LOCAL lock_timeout TO '{BUSY_SECONDS}s';"
        f"SET LOCAL statement_timeout TO '{4 * BUSY_SECONDS}s';"
        f"SET LOCAL idle_in_transaction_session_timeout TO '{4 * BUSY_SECONDS}s'"
    )
