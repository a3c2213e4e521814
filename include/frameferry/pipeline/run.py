"""Run a pipeline's steps in one process, without Airflow: one batch is judged, one delivered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

import structlog

from frameferry.domain.state import Readiness
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context

OnBatch = Callable[[int, str], None]
_POLL_SECONDS = 1.0
_INTERRUPTIBLE_SECONDS = 0.5

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Carried:
    """
    What a run did: the batches that it carried to their commit, and what is left.

    `is_caught_up` says that nothing is open and nothing lags; `reason` says why no more was done.
    """

    batches: int
    is_caught_up: bool
    reason: str


def run_once(ctx: Context, *, on_batch: OnBatch | None = None) -> int:
    """
    Plan, carry what the plan returns, and mirror what was committed.

    Args:
        ctx: The pipeline.
        on_batch: Told (batch id, step) before each step, from two threads.

    Returns:
        How many batches were carried to their commit.

    Raises:
        FrameferryError: What the first step to fail met; what was judged is delivered first.
    """
    planned = steps.plan(ctx).batch_ids
    deliveries = _Deliveries(ctx, on_batch)
    try:
        for batch_id in planned:
            _judged(ctx, batch_id, deliveries, on_batch)
    finally:
        deliveries.finish()
    carried = deliveries.taken()
    steps.publish(ctx)
    return carried


def run_batch(ctx: Context, batch_id: int, *, on_batch: OnBatch | None = None) -> None:
    """Carry one batch through infer, deliver and commit; stop after infer if it is split."""
    _tell(on_batch, batch_id, "infer")
    if steps.infer(ctx, batch_id) != "split":
        _deliver(ctx, batch_id, on_batch)


def run_until_caught_up(
    ctx: Context, *, stalled_seconds: float = 60.0, on_batch: OnBatch | None = None
) -> Carried:
    """
    Run until nothing is plannable, waiting for leases and back-offs of up to *stalled_seconds*.

    While one batch is delivered the next ones are planned and judged, as far as `max_open` goes.

    Raises:
        FrameferryError: What the first step to fail met; what was judged is delivered first.
    """
    deliveries = _Deliveries(ctx, on_batch)
    try:
        return _run_on(ctx, deliveries, stalled_seconds, on_batch)
    finally:
        deliveries.finish()


def _run_on(
    ctx: Context, deliveries: _Deliveries, stalled_seconds: float, on_batch: OnBatch | None
) -> Carried:
    carried, deadline = 0, time.monotonic() + stalled_seconds
    while True:
        planned = [one for one in steps.plan(ctx).batch_ids if one not in deliveries.batch_ids]
        for batch_id in planned:
            _judged(ctx, batch_id, deliveries, on_batch)
        if not planned:
            deliveries.wait()
        done = deliveries.taken()
        if done:
            steps.publish(ctx)
            carried += done
        if done or planned or deliveries.batch_ids:
            deadline = time.monotonic() + stalled_seconds
            continue
        readiness = steps.wait(ctx)
        if not _is_worth_waiting(readiness, deadline):
            return Carried(carried, _is_caught_up(ctx), readiness.reason)
        time.sleep(min(readiness.retry_in_seconds or 0.0, _POLL_SECONDS))


def _is_worth_waiting(readiness: Readiness, deadline: float) -> bool:
    """Say whether there will be work before the deadline, as far as anybody knows."""
    if readiness.retry_in_seconds is None:
        return readiness.now
    return time.monotonic() + readiness.retry_in_seconds <= deadline


def _is_caught_up(ctx: Context) -> bool:
    state = ctx.ledger.pipeline_state(ctx.pipeline)
    return state is not None and not state.open_batches and not state.blocked


def _judged(ctx: Context, batch_id: int, deliveries: _Deliveries, on_batch: OnBatch | None) -> None:
    _tell(on_batch, batch_id, "infer")
    if steps.infer(ctx, batch_id) != "split":
        deliveries.begin(batch_id)


def _deliver(ctx: Context, batch_id: int, on_batch: OnBatch | None) -> None:
    _tell(on_batch, batch_id, "deliver")
    steps.deliver(ctx, batch_id)
    _tell(on_batch, batch_id, "commit")
    steps.commit(ctx, batch_id)


def _tell(on_batch: OnBatch | None, batch_id: int, step: str) -> None:
    if on_batch is not None:
        on_batch(batch_id, step)


@dataclass
class _Deliveries:
    """
    Deliver and commit judged batches, one after another, beside what the caller does.

    The threads never keep the process from ending: a delivery may be broken off anywhere.
    """

    ctx: Context
    on_batch: OnBatch | None
    _last: Future[None] | None = None
    _open: dict[int, Future[None]] = field(default_factory=dict)

    @property
    def batch_ids(self) -> Collection[int]:
        """The batches that were begun and not taken yet."""
        return self._open.keys()

    def begin(self, batch_id: int) -> None:
        """Deliver a batch after those that were begun before it."""
        before, future = self._last, Future[None]()
        self._last = self._open[batch_id] = future
        threading.Thread(
            target=self._work, args=(batch_id, before, future), daemon=True, name="deliver"
        ).start()

    def wait(self) -> None:
        """Wait until one of them ends; return at once if none was begun."""
        while (
            self._open
            and not wait(
                self._open.values(), _INTERRUPTIBLE_SECONDS, return_when=FIRST_COMPLETED
            ).done
        ):
            continue

    def finish(self) -> None:
        """Wait until all of them have ended, well or not; an interrupt ends the waiting."""
        unfinished = [batch_id for batch_id, future in self._open.items() if not future.done()]
        if unfinished:
            log.info("run.finishing", pipeline=self.ctx.pipeline, delivers=unfinished)
        while wait(self._open.values(), _INTERRUPTIBLE_SECONDS).not_done:
            continue

    def taken(self) -> int:
        """
        Forget those that have ended; return how many.

        Raises:
            FrameferryError: What the first of them met.
        """
        ended = {batch_id: future for batch_id, future in self._open.items() if future.done()}
        for batch_id in ended:
            del self._open[batch_id]
        for future in ended.values():
            future.result()
        return len(ended)

    def _work(self, batch_id: int, before: Future[None] | None, future: Future[None]) -> None:
        if before is not None:
            wait([before])
        try:
            _deliver(self.ctx, batch_id, self.on_batch)
        except BaseException as error:  # noqa: BLE001 - it is raised where the delivery is taken
            future.set_exception(error)
        else:
            future.set_result(None)
