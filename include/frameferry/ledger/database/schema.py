"""Bring a ledger's schema to this program's version, whatever version it has."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from frameferry.errors import LedgerConflict
from frameferry.ledger.database.engines import SCHEMA
from frameferry.ledger.database.transactions import Transactions

HEAD: Final = "0104"
"""The newest migration; a test compares it with the scripts."""
_NEVER_RELEASED: Final = frozenset({"0001", "0002", "0003", "0004", "0005", "0006"})
"""Schemas from before the first released one; no script upgrades them."""
VERSION_TABLE: Final = "frameferry_alembic_version"
SCRIPTS: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 7_072_616_165_746_665
"""An arbitrary number that names PostgreSQL's lock: one process migrates at a time."""


def migrate(transactions: Transactions) -> None:
    """
    Create or upgrade the tables; other processes that open the ledger wait for that.

    Raises:
        LedgerConflict: A newer Frameferry made this ledger, or one that was never released.
        LedgerUnavailable: The database is down or stays locked.
    """
    with transactions.read() as connection:
        version = version_of(connection)
    if version == HEAD:
        return
    with transactions.write() as connection:
        migrate_within(connection)


def migrate_within(connection: Connection) -> None:
    """
    Create or upgrade the tables in the caller's transaction.

    Raises:
        LedgerConflict: A newer Frameferry made this ledger, or one that was never released.
    """
    _lock(connection)
    version = version_of(connection)
    if version != HEAD:
        _refuse_unknown(version)
        _upgrade(connection)


def schema_of(connection: Connection) -> str | None:
    """Name the schema that holds the tables; SQLite has none."""
    return SCHEMA if connection.dialect.name == "postgresql" else None


def version_of(connection: Connection) -> str | None:
    """Read the schema's version; None if there is no ledger yet."""
    schema = schema_of(connection)
    if not inspect(connection).has_table(VERSION_TABLE, schema=schema):
        return None
    table = f"{schema}.{VERSION_TABLE}" if schema else VERSION_TABLE
    version = connection.scalar(text(f"SELECT version_num FROM {table}"))  # noqa: S608 - our own constants
    return None if version is None else str(version)


def _lock(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
        # IF NOT EXISTS would ask for the right to create one also where it is there.
        if connection.scalar(text("SELECT to_regnamespace(:name)"), {"name": SCHEMA}) is None:
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))


def is_known(version: str | None) -> bool:
    """Say whether this program can use a schema, or upgrade it; None is that of an empty one."""
    from alembic.script import ScriptDirectory  # noqa: PLC0415 - costs 0.2 s, and is seldom needed

    if version in {None, HEAD}:
        return True
    return version in {one.revision for one in ScriptDirectory(str(SCRIPTS)).walk_revisions()}


def _refuse_unknown(version: str | None) -> None:
    if version in _NEVER_RELEASED:
        msg = f"the ledger's schema is version {version}, from before the first release"
        remedy = (
            "Keep it, and begin a new ledger: move it away, or name another database in "
            "FRAMEFERRY_LEDGER_URL; frameferry ledger recover PIPELINE then finds by their names "
            "the files that were delivered"
        )
        raise LedgerConflict(msg, remedy=remedy)
    if not is_known(version):
        msg = f"the ledger's schema is version {version}, this Frameferry knows up to {HEAD}"
        raise LedgerConflict(msg, remedy="Use the Frameferry that made it, or a newer one")


def _upgrade(connection: Connection) -> None:
    from alembic import command  # noqa: PLC0415 - see above
    from alembic.config import Config  # noqa: PLC0415 - see above

    config = Config()
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, HEAD)
