"""Processor time of processes: their own and that of all they started, ended ones included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil

MARK = "FRAMEFERRY_SERVER"
"""Every process of an embedded server carries it, and names the server behind a slash."""


Find = Callable[[], Iterable[psutil.Process]]


@dataclass(frozen=True)
class _Spent:
    """What a process had used, with what it had reaped; and the process that would reap it."""

    seconds: float
    parent: int


class Meter:
    """
    Count the processor seconds that some processes and all their descendants use from now on.

    An ended process is counted by the one that reaped it. One whose parent has ended too was
    reaped by nobody of ours, as Spark's workers are whose daemon ends: it is then left out as if
    it had never been, so that nothing is subtracted for it.
    """

    def __init__(self, roots: Find) -> None:
        self._roots = roots
        self._before = _looked(roots())

    def seconds(self) -> float:
        after = _looked(self._roots())
        alive = {process.pid for process in after}
        known = (
            spent.seconds
            for process, spent in self._before.items()
            if process in after or spent.parent in alive
        )
        return sum(spent.seconds for spent in after.values()) - sum(known)


def _looked(roots: Iterable[psutil.Process]) -> dict[psutil.Process, _Spent]:
    found = {}
    for process in families(roots):
        with suppress(psutil.Error):
            found[process] = _Spent(sum(process.cpu_times()[:4]), process.ppid())
    return found


def families(roots: Iterable[psutil.Process]) -> set[psutil.Process]:
    """Give these processes and all their living descendants, each once."""
    found: set[psutil.Process] = set()
    for root in roots:
        with suppress(psutil.NoSuchProcess):
            found |= {root, *root.children(recursive=True)}
    return found


def of_server(name: str, home: str) -> Callable[[], list[psutil.Process]]:
    """Find the processes of an embedded server of a home; ask each time, for they change."""
    return lambda: list(_marked(name, home))


def _marked(name: str, home: str) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            environment = process.environ()
            if environment.get(MARK, "").endswith(f"/{name}") and home == environment.get(
                "FRAMEFERRY_HOME"
            ):
                yield process
