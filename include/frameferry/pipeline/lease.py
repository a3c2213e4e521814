"""Hold a batch while a step works on it: claimed, kept alive, released, its failure recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

import structlog

from frameferry.domain.batch import Batch, Token
from frameferry.errors import Fenced, FrameferryError
from frameferry.pipeline.context import Context

LEASE_SECONDS = 30.0
"""A crashed holder keeps others out for at most this long."""
_RENEWALS_PER_LEASE = 3
_FIRST_BACKOFF_SECONDS = 5.0
_LONGEST_BACKOFF_SECONDS = 300.0

log = structlog.get_logger()


@contextmanager
def held(ctx: Context, batch_id: int) -> Iterator[Batch]:
    """
    Claim a batch for the length of a step.

    The lease is renewed from a thread of its own; a failure is recorded with the time of the
    next try, so that neither Airflow nor the command line hammers a world that is down.

    Raises:
        BatchOwned: A younger lease holds it: try later.
    """
    batch = ctx.ledger.claim(batch_id, owner=ctx.owner, lease_seconds=LEASE_SECONDS)

    def renew(seconds: float) -> None:
        ctx.ledger.renew(batch.token, seconds)

    try:
        with renewed(renew, LEASE_SECONDS, whose=f"batch {batch_id}"):
            yield batch
    except Fenced:
        raise
    except FrameferryError as error:
        error.at(pipeline=ctx.pipeline, batch=batch_id)
        _remember(ctx, batch.token, error)
        raise
    finally:
        ctx.ledger.release(batch.token)


@contextmanager
def renewed(renew: Callable[[float], None], seconds: float, *, whose: str) -> Iterator[None]:
    """Prolong a lease of *seconds* from a thread of its own, until the body is over."""
    done = Event()
    renewer = Thread(target=_renew, args=(renew, seconds, done, whose), daemon=True)
    renewer.start()
    try:
        yield
    finally:
        done.set()
        renewer.join()


def backoff_seconds(attempt: int) -> float:
    """Wait longer after each attempt, up to five minutes."""
    return float(min(_FIRST_BACKOFF_SECONDS * 2 ** min(attempt - 1, 10), _LONGEST_BACKOFF_SECONDS))


def _renew(renew: Callable[[float], None], seconds: float, done: Event, whose: str) -> None:
    while not done.wait(seconds / _RENEWALS_PER_LEASE):
        try:
            renew(seconds)
        except FrameferryError as error:
            # The lease has time for another try; a batch is kept safe by its fence, not by the
            # lease.
            log.warning("lease.not_renewed", whose=whose, error=str(error))


def _remember(ctx: Context, token: Token, error: FrameferryError) -> None:
    try:
        ctx.ledger.record_failure(
            token, error=str(error), retry_after_seconds=backoff_seconds(token.attempt)
        )
    except FrameferryError as second:
        log.warning("failure.not_recorded", batch=token.batch_id, error=str(second))
