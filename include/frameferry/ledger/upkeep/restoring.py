"""Put a backup in the ledger's place: a new life, in which nothing of the old one is believed."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import tempfile
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, select, update

from frameferry.errors import ConfigError, LedgerConflict
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.engines import make_engine
from frameferry.ledger.database.schema import migrate
from frameferry.ledger.database.tables import ledger, pipeline
from frameferry.ledger.database.transactions import Transactions
from frameferry.ledger.guards.epochs import begin_epoch, clear_leases, last_ids, live_leases
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.upkeep.backups import open_copy, refuse_damaged
from frameferry.ledger.upkeep.copying import allow_time, begin_anew, copy_rows, count_rows
from frameferry.ledger.upkeep.files import told_of_file

_MAGIC = b"SQLite format 3\x00"
_REMEDY = "Name a file that `frameferry ledger backup` made"


@dataclass(frozen=True, slots=True)
class Restored:
    """A ledger after its restore; each of its pipelines has to be recovered."""

    epoch: str
    pipelines: tuple[str, ...]
    rows: dict[str, int]


def restore(url: str, file: Path, *, who: str, replace: bool) -> Restored:
    """
    Put the backup in the ledger's place, in one transaction, and begin a new epoch.

    Every token given before is fenced, ids go on far beyond those that were used, and no batch
    of a pipeline can be claimed before the pipeline is recovered. The backup is not changed.

    Args:
        url: The ledger to be restored; it may be empty or of an older version.
        file: The backup.
        who: The person, for the record.
        replace: Put it in the place of a ledger that is not empty.

    Raises:
        ConfigError: There is no such file, it is not a backup, or there is no room to work on it.
        LedgerConflict: The backup is damaged, or the ledger is not empty or in use.
        LedgerUnavailable: The database is down.
    """
    with ExitStack() as stack:
        copy, digest = _working_copy(file, stack)
        with _told(file):
            source = stack.enter_context(open_copy(copy))
        _check(source, file)
        target = Transactions(make_engine(url))
        stack.callback(target.close)
        migrate(target)
        with source.read() as reading, target.write() as writing:
            allow_time(writing)
            _refuse_occupied(writing, replace=replace)
            given = last_ids(writing)
            begin_anew(writing)
            rows = copy_rows(reading, writing)
            epoch = begin_epoch(writing, given)
            pipelines = _begin_life(writing, who, f"{file.name}, sha256 {digest}")
    return Restored(epoch, pipelines, rows)


def _working_copy(file: Path, stack: ExitStack) -> tuple[Path, str]:
    """Copy the backup, for as long as *stack* lasts, so that an upgrade does not change it."""
    digest = _digest(file)
    with _told(file):
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="frameferry-"))
        copy = Path(shutil.copyfile(file, Path(folder) / "copy.db"))
    if not _has_ledger(copy):
        raise _no_backup(file)
    return copy, digest


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
            opened.seek(0)
            is_database = opened.read(len(_MAGIC)) == _MAGIC
    except OSError as error:
        msg = f"{file} cannot be read: {error.strerror}"
        raise ConfigError(msg, remedy=_REMEDY) from error
    if not is_database:
        raise _no_backup(file)
    return digest


def _no_backup(file: Path) -> ConfigError:
    return ConfigError(f"{file} is no backup of a ledger", remedy=_REMEDY)


def _told(file: Path) -> AbstractContextManager[None]:
    what = f"a working copy of {file} cannot be made"
    return told_of_file(
        what, "Make room in the folder that TMPDIR names (default: /tmp), or name another"
    )


def _has_ledger(copy: Path) -> bool:
    query = "SELECT count(*) FROM sqlite_master WHERE name IN ('ledger', 'pipeline', 'record')"
    try:
        with closing(sqlite3.connect(copy)) as raw:
            return bool(raw.execute(query).fetchone()[0] == 3)  # noqa: PLR2004 - the three that are named
    except sqlite3.DatabaseError:
        return False


def _check(source: Transactions, file: Path) -> None:
    with source.read() as connection:
        refuse_damaged(connection, file)
    with _told(file):
        migrate(source)


def _refuse_occupied(connection: Connection, *, replace: bool) -> None:
    """Refuse a ledger in which somebody works, or whose content nobody gave up explicitly."""
    if leases := live_leases(connection):
        lease = leases[0]
        msg = (
            f"the ledger is in use: batch {lease.id} is held by {lease.owner} until "
            f"{lease.leased_until:%Y-%m-%d %H:%M:%S} UTC"
        )
        raise LedgerConflict(msg, remedy="Stop all runs first (pause the DAGs), and wait for it")
    rows = count_rows(connection)
    if rows["pipeline"] and not replace:
        msg = f"the ledger is not empty: {rows['pipeline']} pipelines, {rows['record']} records"
        raise LedgerConflict(
            msg, remedy="Back it up (frameferry ledger backup), then restore with --replace"
        )


def _begin_life(connection: Connection, who: str, detail: str) -> tuple[str, ...]:
    clear_leases(connection)
    connection.execute(update(ledger).values(host=None, boot_id=None))
    connection.execute(update(pipeline).values(restored_at=from_now()))
    write_action(connection, who=who, what="restore", pipeline_id=None, detail=detail)
    names = connection.scalars(select(pipeline.c.name).order_by(pipeline.c.name)).all()
    return tuple(names)
