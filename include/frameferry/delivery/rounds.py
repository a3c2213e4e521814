"""The items of one call of a pool: waiting, in hand or done, and tried again when they fail."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Condition
from time import monotonic
from typing import Generic, TypeVar

from frameferry.errors import FrameferryError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How often and how long transient trouble is met with another try.

    `tries` counts per item. The pause doubles from `first_seconds` to `most_seconds`, with
    jitter. Nothing is tried again once no item has succeeded for `budget_seconds`.
    """

    tries: int = 8
    first_seconds: float = 0.5
    most_seconds: float = 30.0
    budget_seconds: float = 300.0

    def pause_seconds(self, failures: int) -> float:
        """Choose the pause after so many failures, at random so that connections spread."""
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** (failures - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


@dataclass(slots=True, eq=False)
class Task(Generic[ItemT]):
    """One item and how it has fared. `ready_at` is on the monotonic clock."""

    index: int
    item: ItemT
    failures: int = 0
    ready_at: float = 0.0


class Round(Generic[ItemT, ResultT]):
    """Hands out the items of one call to several threads until all are done, or it is stopped."""

    def __init__(self, items: Sequence[ItemT], retry: RetryPolicy) -> None:
        self._retry = retry
        self._changed = Condition()
        self._waiting = deque(Task(index, item) for index, item in enumerate(items))
        self._results: dict[int, ResultT] = {}
        self._total = len(items)
        self._is_stopped = False
        self._error: FrameferryError | None = None
        self._last_success = monotonic()

    @property
    def has_waiting(self) -> bool:
        """Say whether items wait that nobody has in hand: a hint, old when it is read."""
        return bool(self._waiting)

    def take(self) -> Task[ItemT] | None:
        """Wait for an item that is due; None when the round is over."""
        with self._changed:
            while not self._is_stopped and len(self._results) < self._total:
                task = self._pop_due()
                if task is not None:
                    return task
                self._changed.wait(self._pause_seconds())
        return None

    def done(self, task: Task[ItemT], result: ResultT) -> None:
        """Note a result."""
        with self._changed:
            self._results[task.index] = result
            self._last_success = monotonic()
            if len(self._results) == self._total:
                self._changed.notify_all()

    def put_back(self, task: Task[ItemT]) -> None:
        """Let another worker have it, uncounted."""
        with self._changed:
            self._waiting.appendleft(task)
            self._changed.notify_all()

    def try_again(self, task: Task[ItemT]) -> bool:
        """Count a failure and put the item back for later; False where no try is left."""
        task.failures += 1
        now = monotonic()
        is_over_budget = now > self._last_success + self._retry.budget_seconds
        if task.failures >= self._retry.tries or is_over_budget:
            return False
        task.ready_at = now + self._retry.pause_seconds(task.failures)
        self.put_back(task)
        return True

    def stop(self, error: FrameferryError | None = None) -> None:
        """End the round. The first error is what it came to."""
        with self._changed:
            self._is_stopped = True
            self._error = self._error or error
            self._changed.notify_all()

    def results(self) -> list[ResultT]:
        """
        Return the results in the items' order.

        Raises:
            FrameferryError: Whatever ended the round early.
        """
        if self._error is not None:
            raise self._error
        return [self._results[index] for index in range(self._total)]

    def _pop_due(self) -> Task[ItemT] | None:
        now = monotonic()
        due = next((task for task in self._waiting if task.ready_at <= now), None)
        if due is not None:
            self._waiting.remove(due)
        return due

    def _pause_seconds(self) -> float | None:
        if not self._waiting:
            return None
        return max(0.0, min(task.ready_at for task in self._waiting) - monotonic())
