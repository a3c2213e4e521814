"""A pool of connections, a thread each; it shrinks if the server has enough of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from operator import length_hint
from threading import Lock
from time import sleep
from typing import Generic, NoReturn, TypeVar
from weakref import WeakSet

from frameferry.delivery.rounds import RetryPolicy, Round, Task
from frameferry.errors import (
    DeliveryRefused,
    FrameferryError,
    FtpCrowded,
    FtpUnavailable,
    LoginRefused,
)
from frameferry.ftp.client import FerryFTP

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
Job = Callable[[FerryFTP, ItemT, bool], ResultT]
"""What is done with one item; the flag says whether more items wait."""

OPENING_TRIES = 3
"""The first connection is tried less often than an item: whoever waits for it sees nothing yet."""


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
        self._lent: set[FerryFTP] = set()
        self._refusal: DeliveryRefused | None = None
        self._crowd = ""
        self._logged_in: WeakSet[FerryFTP] = WeakSet()
        self._has_succeeded = False

    @property
    def limit(self) -> int:
        """Connections that the server takes, as far as known; at least 1."""
        return self._limit

    def open(self) -> None:
        """
        Log in on the first connection; the others follow when there is work for them.

        Raises:
            FtpUnavailable: Nothing answers after a few tries. A log-in that got no clear answer
                is not tried again.
            LoginRefused: User or password are wrong.
            DeliveryRefused: The server refuses the job as a whole.
        """
        for failures in range(1, OPENING_TRIES + 1):
            try:
                return self.give_back(self.take())
            except FtpUnavailable as error:
                if error.phase == "login" or failures == OPENING_TRIES:
                    raise
                sleep(self._retry.pause_seconds(failures))
        return None

    def close(self) -> None:
        """Say good-bye on every idle connection, to all at once, and drop the others."""
        with self._lock:
            idle, self._idle = self._idle, []
            lent, self._lent = self._lent, set()
        for ftp in lent:
            ftp.poison()
        if idle:
            with ThreadPoolExecutor(len(idle)) as executor:
                list(executor.map(FerryFTP.farewell, idle))

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
                break
            ftp.poison()
        ftp = ftp or self._log_in()
        with self._lock:
            self._lent.add(ftp)
        return ftp

    def give_back(self, ftp: FerryFTP) -> None:
        """Keep a connection for later if it is in step, otherwise drop it."""
        is_kept = ftp.is_in_step
        with self._lock:
            self._lent.discard(ftp)
            if is_kept:
                self._idle.append(ftp)
        if not is_kept:
            ftp.poison()

    def each(
        self,
        job: Job[ItemT, ResultT],
        items: Iterable[ItemT],
        *,
        weigh: Callable[[ItemT], int] = lambda _: 0,
    ) -> list[ResultT]:
        """
        Do a job with every item, in parallel, and return the results in the items' order.

        A job that raises FtpUnavailable is done again on another connection: it must stand
        being repeated. Any other error ends the call at once, the items' own too.

        Args:
            job: What is done with each.
            items: Drawn one by one, by any of the threads. `operator.length_hint` tells how many to
                expect: 0 means none.
            weigh: The bytes of an item; what is held at a time is bounded, as `Round` says.

        Raises:
            FtpUnavailable: An item used up its tries, or nothing went on for too long.
            DeliveryRefused: The server refuses the job as a whole.
        """
        size = min(self._limit, length_hint(items))
        if not size:
            return []
        round_: Round[ItemT, ResultT] = Round(items, self._retry, weigh)
        executor = ThreadPoolExecutor(size, thread_name_prefix="ferry-ftp")
        try:
            workers = [executor.submit(_Worker(self, job, round_).run) for _ in range(size)]
            for worker in workers:
                worker.result()
            return round_.results()
        finally:
            round_.stop()
            self._interrupt_lent()
            executor.shutdown()

    def shrink(self) -> bool:
        """Make do with one connection less; False if none is out at work."""
        with self._lock:
            if not self._lent:
                return False
            self._limit = max(1, self._limit - 1)
        return True

    def note_success(self) -> None:
        """Remember that this server can do what we want of it."""
        self._has_succeeded = True

    def give_up(self, task: Task[ItemT], error: FtpUnavailable) -> NoReturn:
        """
        End an item that has no try left.

        Raises:
            FtpUnavailable: What the last try met.
            DeliveryRefused: Not one data connection ever came about: a firewall, or TLS.
        """
        what = f"given up after {task.failures} tries: {error.what}"
        where = error.where.known()
        if error.phase == "data connection" and not self._has_succeeded:
            remedy = (
                "Open the server's passive ports to this host, or set the connection's extra "
                "passive; with TLS, see whether the server wants another kind of it"
            )
            raise DeliveryRefused(what, remedy=remedy, phase=error.phase, **where) from error
        raise FtpUnavailable(what, remedy=error.remedy, phase=error.phase, **where) from error

    def _pop_idle(self) -> FerryFTP | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _log_in(self) -> FerryFTP:
        with self._login_lock:
            if self._refusal is not None:
                raise self._refusal
            if self._crowd and self._is_known_here():
                raise FtpCrowded(self._crowd, phase="login")
            try:
                ftp = self._open_connection()
            except DeliveryRefused as refusal:
                is_doubtful = isinstance(refusal, LoginRefused) and not refusal.is_plain
                if is_doubtful and self._is_known_here():
                    self._crowd = f"the server lets no further connection log in: {refusal.what}"
                    raise FtpCrowded(self._crowd, phase="login") from refusal
                self._refusal = refusal
                raise
            self._logged_in.add(ftp)
            return ftp

    def _is_known_here(self) -> bool:
        """Say whether user and password are good: another connection is logged in with them."""
        return any(ftp.is_open for ftp in self._logged_in)

    def _interrupt_lent(self) -> None:
        with self._lock:
            lent = list(self._lent)
        for ftp in lent:
            ftp.interrupt()


class _Worker(Generic[ItemT, ResultT]):
    """One thread and its connection, opened when the first item is in hand."""

    def __init__(self, pool: Pool, job: Job[ItemT, ResultT], round_: Round[ItemT, ResultT]) -> None:
        self._pool = pool
        self._job = job
        self._round = round_
        self._ftp: FerryFTP | None = None
        self._is_welcome = True

    def run(self) -> None:
        """Work until the round is over, or the server has no place for this worker."""
        try:
            while self._is_welcome and self._do_next():
                pass
        except FrameferryError as error:
            self._round.stop(error)
        except BaseException:
            self._round.stop()
            raise
        finally:
            self._let_go()

    def _do_next(self) -> bool:
        """Do one item, and let go of it before waiting for the next: it may be large."""
        task = self._round.take()
        if task is None:
            return False
        self._do(task)
        return True

    def _do(self, task: Task[ItemT]) -> None:
        try:
            result = self._job(self._connection(), task.item, self._round.has_waiting)
        except FtpCrowded as error:
            self._crowded(task, error)
        except FtpUnavailable as error:
            if self._ftp is not None:
                self._ftp.poison()
            self._failed(task, error)
        else:
            self._pool.note_success()
            self._round.done(task, result)

    def _connection(self) -> FerryFTP:
        if self._ftp is not None and not self._ftp.is_in_step:
            self._let_go()
        self._ftp = self._ftp or self._pool.take()
        return self._ftp

    def _crowded(self, task: Task[ItemT], error: FtpCrowded) -> None:
        if self._pool.shrink():
            self._is_welcome = False
            self._round.put_back(task)
        else:
            self._failed(task, error)

    def _failed(self, task: Task[ItemT], error: FtpUnavailable) -> None:
        if not self._round.try_again(task):
            self._pool.give_up(task, error)

    def _let_go(self) -> None:
        ftp, self._ftp = self._ftp, None
        if ftp is not None:
            self._pool.give_back(ftp)
