"""One log-in attempt at a time, over all tasks, runs, commands and pipelines of a connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frameferry.errors import FrameferryError, LoginRefused
from frameferry.ledger.store import Ledger

_LEASE_SECONDS = 60.0


@contextmanager
def one_login(ledger: Ledger, digest: str, *, owner: str) -> Iterator[None]:
    """
    Take the turn for the log-in that is tried inside, and give it back.

    Raises:
        FtpUnavailable: Another one is being tried.
        PipelineBlocked: The server refused this user and password before.
    """
    ledger.begin_login(digest, owner=owner, lease_seconds=_LEASE_SECONDS)
    try:
        yield
    except LoginRefused as error:
        ledger.end_login(digest, refused=error.what)
        raise
    except FrameferryError:
        ledger.end_login(digest, refused=None)
        raise
    ledger.end_login(digest, refused=None)
