"""Peak resident memory of the processes that carry pictures, by the kernel's high-water marks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Final, Self

import psutil

from benchmarks.pipeline.processor import families

JVM: Final = "JVM"
WORKER: Final = "worker"
CLIENT: Final = "client"
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
_RESET = "5"
"""Written to `clear_refs`: the mark begins anew (proc(5))."""
_EVERY_SECONDS: Final = 0.5


@dataclass(frozen=True)
class Family:
    """Processes to watch: a Spark server or driver with its workers, and who delivers."""

    spark: Callable[[], Iterable[psutil.Process]]
    client: Callable[[], Iterable[psutil.Process]]


class Peaks:
    """
    Watch a family from a thread; one that ends meanwhile is counted up to the last look.

    `megabytes` gives the peak of the JVM, of the largest Python worker and of the client, since
    the last `restart`.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._over = Event()
        self._lock = Lock()
        self._thread = Thread(target=self._watch, daemon=True)
        self.megabytes: dict[str, float] = {}

    def __enter__(self) -> Self:
        self.restart()
        self._thread.start()
        return self

    def restart(self) -> dict[str, float]:
        """Give the peaks until now, and begin anew."""
        with self._lock:
            before, self.megabytes = self.megabytes, {}
            for process in families([*self._family.spark(), *self._family.client()]):
                with suppress(OSError):
                    Path(f"/proc/{process.pid}/clear_refs").write_text(_RESET, encoding="ascii")
        return before

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(_EVERY_SECONDS):
            with self._lock:
                self._look()

    def _look(self) -> None:
        clients = set(self._family.client())
        for process in families(self._family.spark()) | clients:
            with suppress(psutil.NoSuchProcess):
                kind = CLIENT if process in clients else kind_of(process)
                self.megabytes[kind] = max(self.megabytes.get(kind, 0.0), peak_megabytes(process))


def kind_of(process: psutil.Process) -> str:
    return JVM if process.name() == "java" else WORKER


def peak_megabytes(process: psutil.Process) -> float:
    """Read the largest resident size since the mark was last reset; 0 of one that is gone."""
    try:
        found = _PEAK.search(Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8"))
    except OSError:
        return 0.0
    return int(found[1]) / 1024 if found else 0.0
