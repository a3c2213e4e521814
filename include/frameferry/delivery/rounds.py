"""The items of one call of a pool: waiting, in hand or done, and tried again when they fail."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from operator import length_hint
from threading import Condition
from time import monotonic
from typing import Generic, TypeVar

from frameferry.errors import FrameferryError

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

HELD_ITEMS = 2
HELD_BYTES = 40 * 1024**2
"""What is in memory at a time: so many bytes, or so few of the largest, and the one being drawn."""


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
    """
    Hands out the items of one call to several threads until all are done, or it is stopped.

    Items are drawn one by one, each by the thread that will do it, while others work: so they may
    be read from elsewhere meanwhile, and only those in hand, or waiting for another try, are held.

    Args:
        items: Drawn once. What it raises ends the round.
        retry: How transient trouble is met.
        weigh: The bytes of an item. None is drawn while `HELD_ITEMS` and `HELD_BYTES` are held.
    """

    def __init__(
        self,
        items: Iterable[ItemT],
        retry: RetryPolicy,
        weigh: Callable[[ItemT], int] = lambda _: 0,
    ) -> None:
        self._retry = retry
        self._weigh = weigh
        self._changed = Condition()
        self._source = iter(items)
        self._expected = length_hint(items)
        self._is_drawing = False
        self._is_drawn = False
        self._drawn = 0
        self._held_bytes = 0
        self._waiting: deque[Task[ItemT]] = deque()
        self._results: dict[int, ResultT] = {}
        self._is_stopped = False
        self._error: FrameferryError | None = None
        self._last_success = monotonic()

    @property
    def has_waiting(self) -> bool:
        """Say whether items wait for a thread to take them: a hint, old when it is read."""
        return bool(self._waiting) or (not self._is_drawn and self._drawn < self._expected)

    def take(self) -> Task[ItemT] | None:
        """
        Wait for an item that is due; None when the round is over.

        Raises:
            Exception: Whatever the items raise.
        """
        with self._changed:
            while True:
                if self._is_over():
                    return None
                if (task := self._pop_due()) is not None:
                    return task
                if self._may_draw():
                    self._is_drawing = True
                    break
                self._changed.wait(self._pause_seconds())
        drawn = self._draw()
        return self.take() if drawn is None else drawn

    def done(self, task: Task[ItemT], result: ResultT) -> None:
        """Note a result, and let the item go."""
        with self._changed:
            self._results[task.index] = result
            self._held_bytes -= self._weigh(task.item)
            self._last_success = monotonic()
            self._changed.notify_all()

    def put_back(self, task: Task[ItemT]) -> None:
        """Let another worker have it, uncounted."""
        with self._changed:
            self._waiting.appendleft(task)
            self._changed.notify_all()

    def try_again(self, task: Task[ItemT]) -> bool:
        """Count a failure and put the item back for later; False if no try is left."""
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
        return [self._results[index] for index in range(self._drawn)]

    def _is_over(self) -> bool:
        return self._is_stopped or (self._is_drawn and len(self._results) == self._drawn)

    def _may_draw(self) -> bool:
        held = self._drawn - len(self._results)
        has_room = held < HELD_ITEMS or self._held_bytes < HELD_BYTES
        return has_room and not (self._is_stopped or self._is_drawing or self._is_drawn)

    def _draw(self) -> Task[ItemT] | None:
        """Draw an item with the lock open, since it may come from afar; None after the last."""
        task = None
        try:
            for item in islice(self._source, 1):
                task = Task(self._drawn, item)
        finally:
            with self._changed:
                self._is_drawing = False
                self._is_drawn = task is None
                if task is not None:
                    self._drawn += 1
                    self._held_bytes += self._weigh(task.item)
                self._changed.notify_all()
        return task

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
