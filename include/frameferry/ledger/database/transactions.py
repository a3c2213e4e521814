"""The one place where transactions begin and end, and where database errors become ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import (
    DBAPIError,
    IntegrityError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
    TimeoutError,  # noqa: A004 - the pool's, not the built-in
)

from frameferry.errors import LedgerConflict, LedgerUnavailable
from frameferry.ledger.database.engines import readers, release, writers
from frameferry.ledger.database.tables import NAME_INDEX

ResultT = TypeVar("ResultT")
_LATER: Final = "The step may be run again later"
_ITS_LOG: Final = "Look at the database's own log"
_REMEDIES: Final = {
    "authentication failed|no password supplied|pg_hba.conf|(role|database) .* does not exist": (
        "Check user, password and database in FRAMEFERRY_LEDGER_URL, and the server's pg_hba.conf"
    ),
    "SSL|certificate": (
        "Check sslmode and sslrootcert in FRAMEFERRY_LEDGER_URL, and whether the server's "
        "certificate is for this host and valid today"
    ),
    "disk is full|No space left|disk I/O error": "Make room where the ledger lies",
    "permission denied": (
        "Grant what docs/operations.md, section Accounts of the ledger, lists. Tables are made and "
        "upgraded by the account that owns them: frameferry ledger upgrade"
    ),
}
"""What to do, by what the database says of itself; the first that fits."""
_NAME_RACES: Final = 5
_RIVALS: Final = frozenset({NAME_INDEX, "fk_record_duplicate_of"})
"""Constraints that fail if a rival takes a name, or prunes its holder, before our write."""


class Transactions:
    """Transactions of one ledger database. Threads may share it; processes may not."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._readers = readers(engine)
        self._writers = writers(engine)
        self._is_closed = False

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """
        Read in one snapshot.

        Raises:
            LedgerUnavailable: The database is down or stays locked.
            LedgerConflict: The database refuses.
        """
        with translated(), self._readers.begin() as connection:
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """
        Write all or nothing; an exception takes everything back.

        Raises:
            LedgerUnavailable: The database is down or stays locked; the caller cannot know
                whether a commit that was under way took place.
            LedgerConflict: A constraint or the database refuses.
        """
        with translated(), self._writers.begin() as connection:
            yield connection

    def close(self) -> None:
        """Give the engine back. May be called twice."""
        if not self._is_closed:
            self._is_closed = True
            release(self._engine)


@contextmanager
def translated() -> Iterator[None]:
    """Map database errors to ours, once; statements and their parameters are not repeated."""
    try:
        yield
    except (OperationalError, InterfaceError, TimeoutError) as error:
        reason = _reason(error)
        msg = f"the ledger does not answer: {reason}"
        raise LedgerUnavailable(msg, remedy=_remedy(reason, _LATER)) from error
    except IntegrityError as error:
        msg = f"the ledger refuses a write that breaks one of its rules: {_reason(error)}"
        raise LedgerConflict(msg, remedy="Nothing was written; this should be reported") from error
    except SQLAlchemyError as error:
        reason = _reason(error)
        msg = f"the ledger's database refuses: {reason}"
        raise LedgerConflict(msg, remedy=_remedy(reason, _ITS_LOG)) from error


def write_names(transactions: Transactions, write: Callable[[Connection], ResultT]) -> ResultT:
    """
    Write in a transaction, and again if a rival took a name between our look and our insert.

    Raises:
        LedgerUnavailable: Rivals were faster every time.
    """
    for _ in range(_NAME_RACES):
        try:
            with transactions.write() as connection:
                return write(connection)
        except LedgerConflict as error:
            if _constraint_of(error.__cause__) not in _RIVALS:
                raise
    msg = "other batches keep taking this batch's names"
    raise LedgerUnavailable(msg, remedy="The step may be run again later")


def _remedy(reason: str, usual: str) -> str:
    return next((told for words, told in _REMEDIES.items() if re.search(words, reason)), usual)


def _constraint_of(error: BaseException | None) -> str | None:
    """Name the constraint that an integrity error broke, if the database says it."""
    cause = error.orig if isinstance(error, IntegrityError) else None
    name = getattr(getattr(cause, "diag", None), "constraint_name", None)
    return str(name) if name else None


def _reason(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return str(cause).strip().partition("\n")[0]
