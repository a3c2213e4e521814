"""Epochs: each is one life of the ledger. A new one fences every token, and skips ids ahead."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Final

from sqlalchemy import ColumnElement, Connection, Table, exists, func, select, text, true, update

from frameferry.errors import LedgerOutdated
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import (
    action,
    batch,
    gap,
    ledger,
    metadata,
    pipeline,
    record,
    replay,
)

EPOCH_BYTES: Final = 16
_A_SECOND: Final[Mapping[Table, int]] = {
    pipeline: 1,
    replay: 1,
    batch: 1,
    gap: 1,
    action: 1,
    record: 10_000,
}
"""Tables that count their ids, and how many ids a second of the calendar stands for."""


def new_epoch() -> str:
    """Make an epoch's name."""
    return secrets.token_hex(EPOCH_BYTES)


def current_epoch(connection: Connection) -> str:
    """Read the ledger's epoch; a restore may begin a new one at any moment."""
    return str(connection.execute(select(ledger.c.epoch)).scalar_one())


def begin_epoch(connection: Connection, given: Mapping[Table, int]) -> str:
    """
    Fence every token, and skip all ids ahead so that none is used twice.

    Nobody knows how many ids a lost life has used. So each life begins at a number from the
    calendar: no two lives meet while none uses more than one batch a second on average.

    Args:
        connection: A writing transaction.
        given: Last ids that are known to be used, besides those in the tables.
    """
    epoch = new_epoch()
    connection.execute(update(ledger).values(epoch=epoch))
    now = int(time.time())
    for table, last in last_ids(connection).items():
        used = max(last, given.get(table, 0))
        set_last_id(connection, table, max(used + _A_SECOND[table], now * _A_SECOND[table]))
    return epoch


def last_ids(connection: Connection) -> dict[Table, int]:
    """Read the last id that each table gave out, to deleted rows too."""
    return {table: _last_id(connection, table) for table in _A_SECOND}


def set_last_id(connection: Connection, table: Table, last: int) -> None:
    """Let the table's next row have the id after *last*."""
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, "id")
        connection.execute(select(func.setval(sequence, max(last, 1))))
        return
    connection.execute(text("DELETE FROM sqlite_sequence WHERE name = :name"), {"name": table.name})
    connection.execute(
        text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"),
        {"name": table.name, "last": last},
    )


def is_recovered() -> ColumnElement[bool]:
    """Hold for batches of a pipeline that was not restored, or was recovered since."""
    return ~exists().where(
        pipeline.c.id == batch.c.pipeline_id, pipeline.c.restored_at.is_not(None)
    )


def outdated(name: str, *, batch: int) -> LedgerOutdated:
    """Make the refusal of a ledger that was restored and not recovered yet."""
    msg = "the ledger was restored from a backup: what was done since is not in it"
    remedy = f"Run: frameferry ledger recover {name}"
    return LedgerOutdated(msg, remedy=remedy, pipeline=name, batch=batch)


def clear_leases(connection: Connection) -> None:
    """End the leases, judge jobs and log-in turns of another life."""
    connection.execute(update(batch).values(owner=None, leased_until=None))
    connection.execute(metadata.tables["judging"].delete())
    login = metadata.tables["login"]
    connection.execute(
        update(login).where(login.c.state == "trying").values(state="free", owner=None, until=None)
    )


def live_leases(connection: Connection, of: ColumnElement[bool] | None = None) -> list[AnyRow]:
    """List the open batches that somebody works on now; *of* narrows them."""
    query = select(batch.c.id, batch.c.owner, batch.c.leased_until).where(
        batch.c.leased_until > from_now(),
        batch.c.committed_at.is_(None),
        batch.c.split_at.is_(None),
        true() if of is None else of,
    )
    return list(connection.execute(query))


def _last_id(connection: Connection, table: Table) -> int:
    highest = int(connection.scalar(select(func.max(table.c.id))) or 0)
    if connection.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :name")
        return max(highest, int(connection.scalar(query, {"name": table.name}) or 0))
    sequence = connection.scalar(select(func.pg_get_serial_sequence(table.name, "id")))
    last = connection.scalar(text(f"SELECT last_value FROM {sequence}"))  # noqa: S608 - the database's own name
    return max(highest, int(last or 0))
