"""A publisher for one delivery, which logs in by the rules that all deliveries share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import structlog

from frameferry.config.connections import FtpConnection
from frameferry.delivery.publisher import Publisher
from frameferry.domain.batch import Batch
from frameferry.ftp.addresses import Addresses
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.folders import Folders, StandingFolders
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.login import blocking, one_login, refuse_elsewhere
from frameferry.pipeline.deliver.sweeping import sweep_after

log = structlog.get_logger()


class LazyPublisher:
    """Log in only when a file is due: a batch of markers or duplicates needs no server."""

    def __init__(self, ctx: Context, batch: Batch, stack: ExitStack) -> None:
        self._ctx = ctx
        self._batch = batch
        self._stack = stack
        self._publisher: Publisher | None = None

    def open(self) -> Publisher:
        """
        Return the publisher; log in the first time.

        Raises:
            FtpUnavailable: Nothing answers, or not now.
            DeliveryRefused, PipelineBlocked: Refused, now or before, or files belong elsewhere.
            ConfigError: A replay's files belong elsewhere.
        """
        if self._publisher is None:
            self._publisher = self._stack.enter_context(_publisher(self._ctx, self._batch))
        return self._publisher

    def sweep(self) -> None:
        """Delete what earlier attempts left, if there was a log-in at all."""
        if self._publisher is not None:
            sweep_after(self._ctx, self._batch, self._publisher)


@contextmanager
def _publisher(ctx: Context, batch: Batch) -> Iterator[Publisher]:
    connection = ctx.ftp

    def open_connection() -> FerryFTP:
        return ctx.open_ftp(connection)

    addresses = Addresses()
    addresses.is_alone = was_alone = ctx.ledger.asks_alone(connection.digest)
    publisher = Publisher(
        open_connection,
        base=ctx.settings.deliver.base,
        connections=ctx.settings.deliver.connections,
        part_tag=batch.part_tag,
        part_style=ctx.settings.deliver.part_name,
        folders=Folders() if ctx.settings.deliver.create_folders else StandingFolders(),
        after=ctx.settings.deliver.after,
        replace=ctx.settings.deliver.replace,
        addresses=addresses,
    )
    with ExitStack() as stack, blocking(ctx, connection.digest):
        refuse_elsewhere(ctx, batch)
        with one_login(ctx.ledger, connection.digest, owner=ctx.owner):
            stack.enter_context(publisher)
        try:
            yield publisher
        finally:
            if addresses.is_alone and not was_alone:
                _tell_alone(ctx, connection)


def _tell_alone(ctx: Context, connection: FtpConnection) -> None:
    """Say once how data addresses are asked for here from now on, and remember it."""
    ctx.ledger.note_alone(connection.digest)
    log.warning(
        "addresses.asked_for_alone",
        pipeline=ctx.pipeline,
        why="data ports were closed whose addresses came together with other replies, and open "
        "where they came alone: so does a firewall that reads along",
        remedy=f"Set the extra pipelining of connection {connection.conn_id!r} to alone",
    )
