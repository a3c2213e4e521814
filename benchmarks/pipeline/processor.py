"""Processor time of processes: their own and that of all they started, ended ones included."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

import psutil

MARK = "FRAMEFERRY_SERVER"
"""Every process of an embedded server carries it, and names the server behind a slash."""


def processor_seconds(roots: Iterable[psutil.Process]) -> float:
    """
    Sum the processor seconds of some processes, their descendants and what those have reaped.

    Take it twice and subtract: the processes live long, their children may not.
    """
    return sum(map(_seconds, families(roots)))


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


def _seconds(process: psutil.Process) -> float:
    try:
        return sum(process.cpu_times()[:4])
    except psutil.NoSuchProcess:
        return 0.0
