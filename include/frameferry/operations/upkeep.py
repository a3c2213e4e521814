"""Keep the ledger: upgrade, back up, restore, prune; of all pipelines together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from frameferry.config.home import ledger_url
from frameferry.ledger.database.engines import is_missing, make_engine, refuse_missing
from frameferry.ledger.database.schema import migrate
from frameferry.ledger.database.transactions import Transactions
from frameferry.ledger.store import Ledger
from frameferry.ledger.upkeep.backups import Backup, back_up
from frameferry.ledger.upkeep.pruning import Pruned, prune
from frameferry.ledger.upkeep.restoring import Restored, restore
from frameferry.ledger.upkeep.surveying import LedgerFitness, LedgerState, fitness, survey
from frameferry.pipeline.deliver.keeping import sweep_copies


@dataclass(frozen=True, slots=True)
class Upgrade:
    """Two versions of the ledger's schema; `before` is None if there was no ledger."""

    before: str | None
    after: str


def upgrade_ledger() -> Upgrade:
    """
    Bring the ledger to this program's schema, as opening it does too; may be repeated.

    Raises:
        LedgerConflict: A newer Frameferry made it.
        LedgerUnavailable: The database is down.
    """
    with _transactions() as transactions:
        before = survey(transactions).version
        migrate(transactions)
        return Upgrade(before, survey(transactions).newest_version)


def look_at_ledger() -> LedgerState:
    """
    Say what the ledger is, without changing it.

    Raises:
        LedgerUnavailable: There is none, or its database is down.
    """
    refuse_missing(ledger_url())
    with _transactions() as transactions:
        return survey(transactions)


def ledger_fitness() -> LedgerFitness | None:
    """
    Say whether the ledger can be worked with, without changing it; None if there is none yet.

    Raises:
        LedgerUnavailable: Its database is down.
        LedgerConflict: It cannot be looked at.
        ConfigError: `FRAMEFERRY_LEDGER_URL` names no ledger.
    """
    if is_missing(ledger_url()):
        return None
    with _transactions() as transactions:
        found = fitness(transactions)
    return None if found.state.version is None else found


def back_up_ledger(file: Path) -> Backup:
    """Write the ledger into one file; see `ledger.backups.back_up`."""
    return back_up(ledger_url(), file)


def restore_ledger(file: Path, *, who: str, replace: bool) -> Restored:
    """Put a backup in the ledger's place; see `ledger.restoring.restore`."""
    return restore(ledger_url(), file, who=who, replace=replace)


def prune_ledger(*, older_than_seconds: float, folder: Path, who: str) -> list[Pruned]:
    """
    Export old records to Parquet files in *folder* and remove them; see `ledger.pruning`.

    The kept copies of what is in quarantine no more go with them, of this home.
    """
    refuse_missing(ledger_url())
    # It imports pyarrow: too slow for every command.
    from frameferry.ledger.upkeep.exporting import parquet_in  # noqa: PLC0415

    export = parquet_in(folder)
    with _transactions() as transactions:
        migrate(transactions)
        pruned = prune(transactions, older_than_seconds=older_than_seconds, export=export, who=who)
        for one in pruned:
            sweep_copies(Ledger(transactions), one.pipeline)
    return pruned


@contextmanager
def _transactions() -> Iterator[Transactions]:
    transactions = Transactions(make_engine(ledger_url()))
    try:
        yield transactions
    finally:
        transactions.close()
