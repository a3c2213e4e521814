"""A pool of connections, a thread each: it shrinks where the server has enough, and retries."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Condition, Lock
from time import monotonic
from typing import Generic, TypeVar

from frameferry.delivery.client import FerryFTP
from frameferry.errors import DeliveryRefused, FrameferryError, FtpCrowded, FtpUnavailable

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Job = Callable[[FerryFTP, ItemT, bool], ResultT]
"""What is done with one item; the flag says whether more items wait."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """
    How often and how long transient trouble is met with another try.

    `tries` counts per item; the pause doubles from `first_seconds` to `most_seconds`, with
    jitter; nothing is tried again once no item has succeeded for `budget_seconds`.
    """

    tries: int = 8
    first_seconds: float = 0.5
    most_seconds: float = 30.0
    budget_seconds: float = 300.0

    def pause_seconds(self, failures: int) -> float:
        """Choose the pause before the next try, at random so that connections spread."""
        longest = min(self.most_seconds, self.first_seconds * 2.0 ** (failures - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret


class Pool:
    """
    Up to *connections* connections to one server, kept between calls of `each`.

    Log-ins happen one at a time, and none follows a refused one: a wrong password is tried
    once, whatever the size of the pool.
    """

    def __init__(
        self,
        open_connection: Callable[[], FerryFTP],
        *,
        connections: int,
        retry: RetryPolicy | None = None,
    ) -> None:
        self._open_connection = open_connection
        self._limit = connections
        self._retry = retry or RetryPolicy()
        self._lock = Lock()
        self._login_lock = Lock()
        self._idle: list[FerryFTP] = []
        self._busy: set[FerryFTP] = set()
        self._refusal: DeliveryRefused | None = None
        self._has_succeeded = False

    @property
    def limit(self) -> int:
        """Connections that are still tried; at least 1."""
        return self._limit

    def open(self) -> None:
        """
        Log in on the first connection; the others follow when there is work for them.

        Raises:
            FtpUnavailable: Nothing to be reached after a few tries; a log-in that gets no
                answer is not tried again.
            LoginRefused: User or password are wrong.
            DeliveryRefused: The server refuses the job as a whole.
        """
        failures = 0
        waiting = Condition()
        while True:
            try:
                return self.give_back(self.take())
            except FtpUnavailable as error:
                failures += 1
                if error.where.get("phase") == "login" or failures >= self._retry.tries:
                    raise
                with waiting:
                    waiting.wait(self._retry.pause_seconds(failures))

    def close(self) -> None:
        """Say good-bye on every idle connection and drop the others. Never raises."""
        with self._lock:
            idle, self._idle = self._idle, []
            busy, self._busy = list(self._busy), set()
        for ftp in busy:
            ftp.poison()
        for ftp in idle:
            ftp.farewell()

    def take(self) -> FerryFTP:
        """
        Take an idle connection that is alive, or open one.

        Raises:
            FtpUnavailable: It cannot be opened now.
            FtpCrowded: The server has enough of them.
            DeliveryRefused: Refused, now or before.
        """
        while (ftp := self._pop_idle()) is not None:
            if not ftp.is_stale():
                self._busy.add(ftp)
                return ftp
            ftp.poison()
        with self._login_lock:
            if self._refusal is not None:
                raise self._refusal
            try:
                ftp = self._open_connection()
            except DeliveryRefused as refusal:
                self._refusal = refusal
                raise
        self._busy.add(ftp)
        return ftp

    def give_back(self, ftp: FerryFTP) -> None:
        """Keep a connection for later if it is in step, else drop it."""
        self._busy.discard(ftp)
        if ftp.is_in_step:
            with self._lock:
                self._idle.append(ftp)
        else:
            ftp.poison()

    def each(self, job: Job[ItemT, ResultT], items: Sequence[ItemT]) -> list[ResultT]:
        """
        Do *job* with every item, in parallel, and return the results in the items' order.

        A job that raises FtpUnavailable is done again, on another connection: it must stand
        being repeated. Any other error ends the call.

        Raises:
            FtpUnavailable: An item used up its tries, or nothing went on for too long.
            DeliveryRefused: The server refuses the job as a whole.
        """
        if not items:
            return []
        round_ = _Round(items, self._retry)
        size = min(self._limit, len(items))
        executor = ThreadPoolExecutor(size, thread_name_prefix="ferry-ftp")
        try:
            futures = [executor.submit(self._work, job, round_) for _ in range(size)]
            for future in futures:
                future.result()
            return round_.results()
        finally:
            round_.stop()
            self._drop_busy()
            executor.shutdown()

    def _drop_busy(self) -> None:
        for ftp in list(self._busy):
            ftp.poison()

    def _pop_idle(self) -> FerryFTP | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _work(self, job: Job[ItemT, ResultT], round_: _Round[ItemT, ResultT]) -> None:
        ftp: FerryFTP | None = None
        is_welcome = True
        try:
            while is_welcome and (task := round_.take()) is not None:
                if ftp is not None and not ftp.is_in_step:
                    self.give_back(ftp)
                    ftp = None
                try:
                    ftp = ftp or self.take()
                    result = job(ftp, task.item, round_.has_waiting)
                except FtpCrowded as error:
                    is_welcome = self._crowded(round_, task, error)
                except FtpUnavailable as error:
                    self._taint(ftp)
                    self._failed(round_, task, error)
                else:
                    self._has_succeeded = True
                    round_.done(task, result)
        except FrameferryError as error:
            round_.stop(error)
        finally:
            round_.leave()
            if ftp is not None:
                self.give_back(ftp)

    @staticmethod
    def _taint(ftp: FerryFTP | None) -> None:
        if ftp is not None:
            ftp.poison()

    def _crowded(
        self, round_: _Round[ItemT, ResultT], task: _Task[ItemT], error: FtpCrowded
    ) -> bool:
        """Make do with the connections that live: this worker goes, its item uncounted."""
        others = len(self._busy)
        if others == 0:
            self._failed(round_, task, error)
            return True
        with self._lock:
            self._limit = max(1, min(self._limit, others))
        round_.put_back(task)
        return False

    def _failed(
        self, round_: _Round[ItemT, ResultT], task: _Task[ItemT], error: FtpUnavailable
    ) -> None:
        """Try again later, or end the round with what the last try met."""
        if not round_.try_again(task):
            raise self._given_up(task, error)

    def _given_up(
        self, task: _Task[ItemT], error: FtpUnavailable
    ) -> FtpUnavailable | DeliveryRefused:
        where = dict(error.where)
        what = f"given up after {task.failures} tries: {error.what}"
        if where.get("phase") == "data connection" and not self._has_succeeded:
            return DeliveryRefused(
                f"no data connection came about, though the server answers: {what}",
                remedy="Open the server's passive ports to this host, or set the connection's "
                "extra passive; with TLS, check its session reuse",
                **where,
            )
        return FtpUnavailable(what, remedy=error.remedy, **where)


@dataclass(slots=True, eq=False)
class _Task(Generic[ItemT]):
    index: int
    item: ItemT
    failures: int = 0
    ready_at: float = 0.0


class _Round(Generic[ItemT, ResultT]):
    """The items of one call: waiting, in hand, or done; and whether it goes on."""

    def __init__(self, items: Sequence[ItemT], retry: RetryPolicy) -> None:
        self._retry = retry
        self._changed = Condition()
        self._waiting = deque(_Task(index, item) for index, item in enumerate(items))
        self._results: dict[int, ResultT] = {}
        self._total = len(items)
        self._is_stopped = False
        self._error: FrameferryError | None = None
        self._last_success = monotonic()

    @property
    def has_waiting(self) -> bool:
        """Say whether items wait that nobody has in hand; a hint."""
        return bool(self._waiting)

    def take(self) -> _Task[ItemT] | None:
        """Wait for an item that is due; None when the round is over."""
        with self._changed:
            while not self._is_stopped and len(self._results) < self._total:
                task, pause = self._due()
                if task is not None:
                    return task
                self._changed.wait(pause)
        return None

    def done(self, task: _Task[ItemT], result: ResultT) -> None:
        """Note a result."""
        with self._changed:
            self._results[task.index] = result
            self._last_success = monotonic()
            if len(self._results) == self._total:
                self._changed.notify_all()

    def put_back(self, task: _Task[ItemT]) -> None:
        """Let another worker do it, uncounted."""
        with self._changed:
            self._waiting.appendleft(task)
            self._changed.notify_all()

    def try_again(self, task: _Task[ItemT]) -> bool:
        """Count a failure; False where no further try is left."""
        task.failures += 1
        now = monotonic()
        is_over_budget = now > self._last_success + self._retry.budget_seconds
        if task.failures >= self._retry.tries or is_over_budget:
            return False
        task.ready_at = now + self._retry.pause_seconds(task.failures)
        self.put_back(task)
        return True

    def stop(self, error: FrameferryError | None = None) -> None:
        """End the round; the first error is its result."""
        with self._changed:
            self._is_stopped = True
            self._error = self._error or error
            self._changed.notify_all()

    def leave(self) -> None:
        """Note that a worker is gone: whatever it had in hand must not be waited for."""

    def results(self) -> list[ResultT]:
        """
        Return the results in order.

        Raises:
            FrameferryError: What ended the round early.
        """
        if self._error is not None:
            raise self._error
        return [self._results[index] for index in range(self._total)]

    def _due(self) -> tuple[_Task[ItemT] | None, float | None]:
        now = monotonic()
        for task in self._waiting:
            if task.ready_at <= now:
                self._waiting.remove(task)
                return task, None
        soonest = min((task.ready_at for task in self._waiting), default=None)
        return None, None if soonest is None else max(0.0, soonest - now)
