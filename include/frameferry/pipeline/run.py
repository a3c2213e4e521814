"""Run a pipeline's steps in one process, without Airflow, in Airflow's order."""

from __future__ import annotations

import time
from collections.abc import Callable

from frameferry.pipeline import steps
from frameferry.pipeline.context import Context

_POLL_SECONDS = 1.0


def run_once(ctx: Context, *, on_batch: Callable[[int, str], None] | None = None) -> int:
    """
    Plan, carry what the plan returns, and mirror what was committed.

    Args:
        ctx: The pipeline.
        on_batch: Told (batch id, step) before each step.

    Returns:
        How many batches were carried to their commit.
    """
    planned = steps.plan(ctx)
    for batch_id in planned.batch_ids:
        run_batch(ctx, batch_id, on_batch=on_batch)
    steps.publish(ctx)
    return len(planned.batch_ids)


def run_batch(
    ctx: Context, batch_id: int, *, on_batch: Callable[[int, str], None] | None = None
) -> None:
    """Carry one batch through infer, deliver and commit; one that is split ends there."""
    for step in (steps.infer, steps.deliver, steps.commit):
        if on_batch is not None:
            on_batch(batch_id, step.__name__)
        if step(ctx, batch_id) == "split":
            return


def run_family(ctx: Context, batch_id: int) -> None:
    """Carry one batch, and where it is split all its pieces, to their commits."""
    todo = [batch_id]
    while todo:
        for leaf in todo:
            run_batch(ctx, leaf)
        known = ctx.ledger.pipeline_state(ctx.pipeline)
        leaves = known.open_batches if known else ()
        todo = [
            leaf.id
            for leaf in leaves
            if leaf.is_piece and leaf.root_id == batch_id and not leaf.held_by_gap
        ]


def run_until_caught_up(
    ctx: Context,
    *,
    stalled_seconds: float = 60.0,
    on_batch: Callable[[int, str], None] | None = None,
) -> int:
    """
    Run until nothing is plannable, waiting for leases and back-offs of up to *stalled_seconds*.

    Returns:
        How many batches were carried to their commit.
    """
    carried = 0
    deadline = time.monotonic() + stalled_seconds
    while True:
        done = run_once(ctx, on_batch=on_batch)
        carried += done
        if done:
            deadline = time.monotonic() + stalled_seconds
            continue
        readiness = steps.wait(ctx)
        if readiness.retry_in_seconds is None and not readiness.now:
            return carried
        if time.monotonic() > deadline:
            return carried
        time.sleep(min(readiness.retry_in_seconds or 0.0, _POLL_SECONDS))
