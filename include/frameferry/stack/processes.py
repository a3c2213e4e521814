"""
Server processes that outlive us: spawned in sessions of their own, found again, stopped for sure.

Every process carries a mark in its environment, and its children inherit it. So the processes of a
home can be found even after a kill, or a crash before they were written down. A recycled pid lacks
the mark and is never touched.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from frameferry.errors import StackError

MARK = "FRAMEFERRY_SERVER"
_LOG_LIMIT_BYTES = 20 * 1024**2
_TAIL_LINES = 15
_POLL_SECONDS = 0.05
_START_TOLERANCE_SECONDS = 2.0
_LAST_THREAD_SECONDS = 2.0
_MOST_DEADLINES = 4
"""Deadlines for a server that goes on writing to its log: the machine is only busy."""

# Kept so that a child that ends is reaped, and its exit code is known.
_children: dict[int, subprocess.Popen[bytes]] = {}
_statuses: dict[int, int] = {}


@dataclass(frozen=True, slots=True)
class Command:
    """
    One server process, as one would type it.

    Secrets belong into *env* or files, never into *argv*, which every user of the machine sees.
    """

    argv: tuple[str, ...]
    folder: Path
    log: Path
    env: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Spawned:
    """A process by pid and start time (seconds since 1970): together they name one for ever."""

    pid: int
    started: float


def spawn(command: Command, mark: str) -> Spawned:
    """
    Start a process in a session of its own, its output appended to its log.

    It inherits our environment, overridden by *command.env*, and no terminal.

    Raises:
        StackError: The program does not exist or may not run.
    """
    command.folder.mkdir(parents=True, exist_ok=True)
    command.log.parent.mkdir(parents=True, exist_ok=True)
    _rotate(command.log)
    # SPT_NOENV: setproctitle, which Airflow uses, would write its titles over the mark.
    env = {**os.environ, **command.env, MARK: mark, "SPT_NOENV": "1"}
    try:
        with command.log.open("ab") as log:
            child = subprocess.Popen(
                command.argv,
                cwd=command.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
    except OSError as error:
        msg = f"cannot start {command.argv[0]}: {error.strerror}"
        raise StackError(msg, remedy="Install the pinned requirements") from error
    _children[child.pid] = child
    _statuses.pop(child.pid, None)
    return Spawned(child.pid, _started(child.pid))


def is_alive(spawned: Spawned) -> bool:
    """Say whether this very process still runs: not a zombie, not another one under its pid."""
    child = _children.get(spawned.pid)
    if child is not None and child.poll() is not None:
        return False
    started = _started(spawned.pid)
    return started > 0 and abs(started - spawned.started) < _START_TOLERANCE_SECONDS


def ending(spawned: Spawned) -> str:
    """Say with which status a process ended; empty if only its parent knows, and that is not us."""
    if (child := _children.get(spawned.pid)) is not None:
        # Its first thread is dead, but the others of a JVM may take a moment more.
        with suppress(subprocess.TimeoutExpired):
            child.wait(_LAST_THREAD_SECONDS)
    _reap()
    status = _statuses.get(spawned.pid)
    if status is None:
        return ""
    return f"killed by signal {-status}" if status < 0 else f"exit status {status}"


def find(prefix: str) -> list[psutil.Process]:
    """List the living processes whose mark begins with *prefix*, children's children included."""
    return [process for process in psutil.process_iter() if _mark(process).startswith(prefix)]


def stop(prefix: str, *, grace_seconds: float = 10) -> int:
    """
    End all processes whose mark begins with *prefix*; return how many there were.

    They are asked to (TERM), and killed after *grace_seconds* (KILL). What one of them starts
    meanwhile ends as well. Harmless if nothing runs.

    Raises:
        StackError: A process survives KILL, as one in a hung system call does.
    """
    found = find(prefix)
    _signal(found, psutil.Process.terminate)
    if not _gone(prefix, grace_seconds):
        _signal(find(prefix), psutil.Process.kill)
        if not _gone(prefix, grace_seconds, again=psutil.Process.kill):
            pids = ", ".join(str(process.pid) for process in find(prefix))
            msg = f"processes {pids} do not end"
            raise StackError(msg, remedy="End them by hand")
    return len(found)


def wait_until(
    ready: Callable[[], bool],
    *,
    name: str,
    spawned: Sequence[tuple[Spawned, Path]],
    deadline_seconds: float,
    cancelled: threading.Event,
) -> None:
    """
    Poll *ready* until it answers true, as long as all of *spawned* live.

    Args:
        ready: Asks the server; may take some seconds.
        name: The server, for messages.
        spawned: Each process with its log; the first is the one whose answer is awaited.
        deadline_seconds: When to give up if the logs do not grow. A server that goes on writing is
            only slow, and has up to four times as long.
        cancelled: Set it to give up now.

    Raises:
        StackError: One died or time is up; names its log and shows the last lines. Or *cancelled*.
    """
    patience = _Patience(deadline_seconds, [log for _, log in spawned])
    while not ready():
        if cancelled.is_set():
            msg = f"the start of {name} was interrupted"
            raise StackError(msg)
        for process, log in spawned:
            if not is_alive(process):
                msg = f"{name} ended while starting"
                raise _broken(msg, log)
        if patience.is_over():
            msg = f"{name} did not answer within {patience.seconds:.0f} s; {patience.sign}"
            raise _broken(msg, spawned[0][1])
        time.sleep(_POLL_SECONDS)


class _Patience:
    """Patience for a start: over when the logs stood still for so long, or it took far longer."""

    def __init__(self, quiet_seconds: float, logs: Sequence[Path]) -> None:
        self._quiet_seconds = quiet_seconds
        self._logs = logs
        self._began = self._moved = time.monotonic()
        self._sizes = self._look()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._began

    @property
    def sign(self) -> str:
        """Say what its logs did meanwhile."""
        quiet = time.monotonic() - self._moved
        return f"its logs say nothing new for {quiet:.0f} s"

    def is_over(self) -> bool:
        """Look at the logs, and say whether there is nothing to wait for."""
        sizes = self._look()
        if sizes != self._sizes:
            self._sizes, self._moved = sizes, time.monotonic()
        is_quiet = time.monotonic() - self._moved > self._quiet_seconds
        return is_quiet or self.seconds > _MOST_DEADLINES * self._quiet_seconds

    def _look(self) -> list[int]:
        return [log.stat().st_size if log.exists() else 0 for log in self._logs]


def last_lines(log: Path, lines: int = _TAIL_LINES) -> str:
    """Return the end of a log, for a person; empty if there is none."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - 8192))
            text = stream.read().decode(errors="replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


def _broken(what: str, log: Path) -> StackError:
    return StackError(what, remedy=f"See {log}, which ends:\n{last_lines(log)}")


def _started(pid: int) -> float:
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            return 0 if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.Error:
        return 0


def _mark(process: psutil.Process) -> str:
    try:
        return process.environ().get(MARK, "")
    except (psutil.Error, OSError):
        return ""


def _signal(processes: Iterable[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        try:
            act(process)
        except psutil.NoSuchProcess:
            continue


def _gone(
    prefix: str, seconds: float, *, again: Callable[[psutil.Process], None] | None = None
) -> bool:
    deadline = time.monotonic() + seconds
    while left := find(prefix):
        _reap()
        if time.monotonic() > deadline:
            return False
        if again:
            _signal(left, again)
        time.sleep(_POLL_SECONDS)
    _reap()
    return True


def _reap() -> None:
    for pid, child in list(_children.items()):
        if (status := child.poll()) is not None:
            _statuses[pid] = status
            _children.pop(pid, None)


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
