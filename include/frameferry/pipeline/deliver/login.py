"""One log-in attempt at a time, over all tasks, runs, commands and pipelines of a connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frameferry.domain.batch import Batch
from frameferry.errors import (
    ConfigError,
    DeliveryRefused,
    FrameferryError,
    LoginRefused,
    PipelineBlocked,
)
from frameferry.ftp.client import FerryFTP
from frameferry.ledger.store import Ledger
from frameferry.pipeline.context import Context
from frameferry.pipeline.lease import renewed

PUT_BACK = "Put server and base back, then run the same replay again"
"""What frees a replay when the pipeline delivers elsewhere by now."""
LOGIN_LEASE_SECONDS = 60.0
"""How long a dead process's log-in keeps the others waiting."""


@contextmanager
def one_login(ledger: Ledger, digest: str, *, owner: str) -> Iterator[None]:
    """
    Take the turn for the log-in tried inside, however long it takes, and give it back.

    Raises:
        FtpUnavailable: Another one is being tried.
        PipelineBlocked: The server refused this user and password before.
    """

    def renew(seconds: float) -> None:
        ledger.renew_login(digest, owner=owner, lease_seconds=seconds)

    ledger.begin_login(digest, owner=owner, lease_seconds=LOGIN_LEASE_SECONDS)
    try:
        with renewed(renew, LOGIN_LEASE_SECONDS, whose="log-in"):
            yield
    except LoginRefused as error:
        ledger.end_login(digest, owner=owner, refused=error.what)
        raise
    except FrameferryError:
        ledger.end_login(digest, owner=owner, refused=None)
        raise
    ledger.end_login(digest, owner=owner, refused=None)


@contextmanager
def blocking(ctx: Context, digest: str) -> Iterator[None]:
    """
    Write down a refusal of the whole job, so that nothing hammers the server.

    Raises:
        DeliveryRefused, PipelineBlocked: What was written down.
    """
    try:
        yield
    except (DeliveryRefused, PipelineBlocked) as error:
        ctx.ledger.block(ctx.pipeline, reason=error.what, digest=digest)
        raise


def misplaced(ctx: Context, batch_id: int) -> tuple[str, str] | None:
    """Find a due row that belongs elsewhere than the pipeline delivers: (destination, path)."""
    here, base = ctx.ftp.destination, ctx.settings.deliver.base
    return ctx.ledger.misplaced(batch_id, destination=here, base=base)


def told_elsewhere(ctx: Context, place: tuple[str, str]) -> str:
    """Say where a file belongs, and where the pipeline delivers to now."""
    destination, path = place
    return (
        f"{path} on {destination} was judged for delivery there, but the pipeline now delivers to "
        f"{ctx.settings.deliver.base} on {ctx.ftp.destination}"
    )


def refuse_elsewhere(ctx: Context, batch: Batch) -> None:
    """
    Refuse to connect for files that were judged for another server or another base.

    Settling would look for their parts in the wrong place, and take missing ones for renamed.

    Raises:
        DeliveryRefused: Says where a live batch's files belong, and what to do.
        ConfigError: Says so of a replay. Only the replay is refused: `blocking` lets this pass.
    """
    place = misplaced(ctx, batch.id)
    if place is None:
        return
    if batch.kind == "replay":
        raise ConfigError(told_elsewhere(ctx, place), remedy=PUT_BACK, batch=batch.id)
    msg = (
        f"{told_elsewhere(ctx, place)}. Put server and base back until the open batches are "
        f"delivered; or, to have them judged for the new place, run: frameferry unblock "
        f"{ctx.pipeline} --judge-again"
    )
    raise DeliveryRefused(msg, batch=batch.id)


@contextmanager
def one_connection(ctx: Context) -> Iterator[FerryFTP]:
    """
    Log in once, by the same rules as deliver does, to look at what lies on the server.

    Raises:
        FtpUnavailable: Nothing answers, or not now.
        PipelineBlocked, DeliveryRefused: The log-in is refused, or was before.
    """
    connection = ctx.ftp
    with blocking(ctx, connection.digest):
        with one_login(ctx.ledger, connection.digest, owner=ctx.owner):
            ftp = ctx.open_ftp(connection)
        try:
            ftp.confine(ctx.settings.deliver.base)
            yield ftp
        finally:
            ftp.farewell()


@contextmanager
def connection_to_look(ctx: Context) -> Iterator[FerryFTP]:
    """
    Log in once, as `one_connection` does; what is refused later blocks nothing.

    Raises:
        FtpUnavailable: Nothing answers, or not now.
        PipelineBlocked, DeliveryRefused: The log-in is refused, or was before.
    """
    connection = ctx.ftp
    with (
        blocking(ctx, connection.digest),
        one_login(ctx.ledger, connection.digest, owner=ctx.owner),
    ):
        ftp = ctx.open_ftp(connection)
    try:
        ftp.confine(ctx.settings.deliver.base)
        yield ftp
    finally:
        ftp.farewell()
