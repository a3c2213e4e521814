"""
Carry a batch with its pieces: a batch split in a task goes on in the same task.

A family is a batch and all that it was split into; its leaves are those that were not split again.
"""

from __future__ import annotations

from collections.abc import Iterator

import structlog

from frameferry.domain.batch import Batch
from frameferry.errors import FrameferryError, JudgingFailed, SparkLost
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context

log = structlog.get_logger()


def infer(ctx: Context, batch_id: int) -> None:
    """
    Judge a batch, or all its pieces if it is split.

    A piece that fails by itself does not keep the others from being judged.

    Raises:
        FrameferryError: What the first piece to fail met; a next call goes on with it.
    """
    failed: FrameferryError | None = None
    for leaf in _leaves_until_judged(ctx, batch_id):
        try:
            steps.infer(ctx, leaf)
        except (JudgingFailed, SparkLost) as error:
            log.warning("piece.failed", pipeline=ctx.pipeline, batch=leaf, of=batch_id)
            failed = failed or error
    if failed is not None:
        raise failed


def _leaves_until_judged(ctx: Context, batch_id: int) -> Iterator[int]:
    """Yield each leaf once, including those that appear meanwhile."""
    met: set[int] = set()
    while fresh := [leaf for leaf in ctx.ledger.leaves(batch_id) if leaf not in met]:
        met.update(fresh)
        yield from fresh


def deliver(ctx: Context, batch_id: int) -> None:
    """
    Deliver a batch, or those of its pieces that are judged.

    Raises:
        PredictionsIncomplete: It is not judged (yet, or any more).
    """
    for leaf in ctx.ledger.leaves(batch_id):
        if leaf == batch_id or ctx.ledger.batch(leaf).inferred_at is not None:
            steps.deliver(ctx, leaf)


def commit(ctx: Context, batch_id: int) -> list[Batch]:
    """
    Move the committed offsets over a batch, or those of its pieces that are delivered.

    Returns:
        The batch or these pieces: every record of theirs has its answer.

    Raises:
        BatchUnfinished: It has no census yet.
    """
    leaves = [ctx.ledger.batch(leaf) for leaf in ctx.ledger.leaves(batch_id)]
    done = [one for one in leaves if one.id == batch_id or one.delivered_at is not None]
    for one in done:
        steps.commit(ctx, one.id)
    return done


def carry(ctx: Context, batch_id: int) -> None:
    """Carry one batch, and all its pieces if it is split, to their commits."""
    infer(ctx, batch_id)
    deliver(ctx, batch_id)
    commit(ctx, batch_id)
