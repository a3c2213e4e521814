"""Judge in company or alone: on a shared Spark server, a crash may be another job's."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frameferry.domain.batch import Batch
from frameferry.errors import SparkReserved
from frameferry.pipeline.context import Context
from frameferry.pipeline.lease import LEASE_SECONDS

_POLL_SECONDS = 0.5


@dataclass
class Company:
    """Whether another judge job shared the server; known when the job is over."""

    was_shared: bool = False


@contextmanager
def company(ctx: Context, batch: Batch, *, is_alone: bool) -> Iterator[Company]:
    """
    Enter a judge job on its Spark server for the length of the block.

    A job in its own application (spark-submit), or without Spark, never has company.

    Raises:
        SparkReserved: A suspect has the server for itself, or we wait to be alone, for too long.
    """
    found = Company()
    if ctx.settings.model == "none" or not ctx.spark.is_connect:
        yield found
        return
    _begin(ctx, batch, is_alone=is_alone)
    try:
        yield found
    finally:
        found.was_shared = ctx.ledger.end_judging(batch.token)


def _begin(ctx: Context, batch: Batch, *, is_alone: bool) -> None:
    server = ctx.spark.url
    deadline = time.monotonic() + ctx.company_patience_seconds
    while not ctx.ledger.begin_judging(
        batch.token, server=server, is_alone=is_alone, lease_seconds=LEASE_SECONDS
    ):
        if time.monotonic() > deadline:
            who = "the other judge jobs have not ended" if is_alone else "a suspect batch has it"
            msg = f"Spark at {server} is not to be had yet: {who}"
            raise SparkReserved(msg, remedy="The next try waits again")
        time.sleep(_POLL_SECONDS)
