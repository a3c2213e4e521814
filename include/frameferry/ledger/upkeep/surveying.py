"""Say what a ledger is: where it lives, how old its schema is, what is in it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Table, func, select

from frameferry.ledger.database.schema import HEAD, version_of
from frameferry.ledger.database.tables import batch, ledger, pipeline
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
