"""Rounds: every side carries the same backlog, one after the other, and each is checked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.pipeline.contestants import Contestant, folder_of
from benchmarks.pipeline.loads import Load
from benchmarks.pipeline.processor import Meter
from benchmarks.pipeline.servers import FtpSite
from benchmarks.pipeline.topics import Backlog

Say = Callable[[str], None]


class Unfair(Exception):
    """A side did not deliver every picture whole."""


@dataclass(frozen=True)
class Round:
    """What one side took for one backlog, everything warm."""

    part: str
    side: str
    model: str
    size: str
    number: int
    pictures: int
    delivered: int
    megabytes: float
    batches: int | None
    seconds: float
    processor_seconds: float

    @property
    def images_per_second(self) -> float:
        return self.pictures / self.seconds

    @property
    def processor_ms(self) -> float:
        return self.processor_seconds * 1000 / self.pictures


@dataclass(frozen=True)
class Arena:
    """One load, the FTP server that gets it, and the sides that carry it."""

    load: Load
    site: FtpSite
    sides: Sequence[Contestant]
    say: Say

    def warm_up(self, backlog: Backlog) -> None:
        for side in self.sides:
            self.measure(side, backlog, number=0)

    def compete(self, backlog: Backlog, number: int) -> list[Round]:
        """Let each side carry the backlog; another one begins each time."""
        turn = number % len(self.sides)
        order = [*self.sides[turn:], *self.sides[:turn]]
        return [self.measure(side, backlog, number) for side in order]

    def measure(self, side: Contestant, backlog: Backlog, number: int) -> Round:
        meter, began = Meter(side.processes), time.perf_counter()
        said = side.carry(backlog, folder_of(side.name, self.load))
        seconds = time.perf_counter() - began
        spent = meter.seconds()
        delivered = self._take(side.name, backlog)
        size = self.load.size.name
        found = Round(
            *(self.load.part, side.name, self.load.model, size, number),
            pictures=backlog.pictures,
            delivered=delivered,
            megabytes=round(sum(backlog.sizes) / 1e6, 1),
            batches=said.get("batches"),
            seconds=round(seconds, 3),
            processor_seconds=round(spent, 3),
        )
        self.say(line(found))
        return found

    def _take(self, side: str, backlog: Backlog) -> int:
        """See that every picture is there, whole, under a final name; make room; count them."""
        files = self.site.files(folder_of(side, self.load))
        sizes = Counter(path.stat().st_size for path in files)
        if sizes != Counter(backlog.sizes):
            msg = f"{side}: {len(files)} files of {backlog.pictures} pictures, or not whole"
            raise Unfair(msg)
        for path in files:
            path.unlink()
        return len(files)


def line(found: Round) -> str:
    kind = f"round {found.number}" if found.number else "warm-up"
    batches = f" in {found.batches} batches" if found.batches else ""
    return (
        f"  {kind:8} {found.side:11} {found.pictures:6,} pictures{batches}: "
        f"{found.images_per_second:7.1f} images/s {found.processor_ms:7.2f} CPU-ms an image"
    )
