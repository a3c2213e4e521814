"""Compare rows that stand with what lists showed; ask by name for what they did not show."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Final

from frameferry.delivery.parts import has_sidecar, sidecar_path
from frameferry.domain.audit import AuditedRow, Kind
from frameferry.ftp.paths import is_within
from frameferry.operations.audit.collecting import Collector
from frameferry.operations.audit.inventory import Inventory

MAX_ASKED: Final = 20_000
"""Files that one audit asks for by name: a list that shows nothing must not make millions."""
ASKED_AT_ONCE: Final = 100
"""In one burst, and so in one round trip."""
_HAS_A_FILE: Final = frozenset({"delivered", "duplicate"})
Ask = Callable[[Sequence[str]], Mapping[str, int | None]]
"""Ask for sizes by name: None for a file that is gone; one without a clear answer is left out."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pipeline delivers, and whether its files stay there."""

    destination: str
    base: str
    is_taken: bool


@dataclass(frozen=True, slots=True)
class Expected:
    """A file that a row says is there; `size_bytes` is None for a sidecar, whose is not known."""

    path: str
    size_bytes: int | None
    row: AuditedRow

    def flaw(self, size_bytes: int) -> str:
        """Say what is wrong with a file of this length; empty if nothing is."""
        if self.size_bytes in {None, size_bytes}:
            return ""
        return f"{size_bytes:,} bytes there, {self.size_bytes:,} delivered"


class Sampler:
    """Draw *size* of the rows that are offered, each as likely as any other."""

    def __init__(self, size: int, chance: random.Random) -> None:
        self._size = size
        self._chance = chance
        self._offered = 0
        self.drawn: list[AuditedRow] = []

    def offer(self, row: AuditedRow) -> None:
        """Offer one row."""
        self._offered += 1
        if len(self.drawn) < self._size:
            self.drawn.append(row)
        elif (at := self._chance.randrange(self._offered)) < self._size:
            self.drawn[at] = row


@dataclass(slots=True)
class Comparison:
    """
    One comparison of rows with an inventory.

    `hidden` counts, by folder, the files that are there although no list shows them.
    """

    inventory: Inventory
    ask: Ask
    place: Place
    found: Collector
    sampler: Sampler
    hidden: Counter[str] = field(default_factory=Counter)
    asked: int = 0

    def meet(self, rows: Sequence[AuditedRow]) -> None:
        """Compare some rows; each file of theirs is known from now on."""
        mine = [row for row in rows if self._is_here(row)]
        allowed = [sidecar_path(row.path) for row in mine]
        shown = self.inventory.recognise([*(row.path for row in mine), *allowed])
        doubtful = []
        for one in _expected(mine):
            size = shown.get(one.path)
            if size is not None and not one.flaw(size):
                self._fits(one)
            elif size is None and self.place.is_taken:
                self.found.add(Kind.taken)
            else:
                doubtful.append((one, size is not None))
        for start in range(0, len(doubtful), ASKED_AT_ONCE):
            self._settle(doubtful[start : start + ASKED_AT_ONCE])

    def _is_here(self, row: AuditedRow) -> bool:
        if row.outcome not in _HAS_A_FILE:
            return False
        if row.destination == self.place.destination and is_within(row.path, self.place.base):
            return True
        self.found.add(Kind.elsewhere, path=row.path, place=row.place, detail=row.destination)
        return False

    def _settle(self, doubtful: Sequence[tuple[Expected, bool]]) -> None:
        """Ask for files that no list shows, or not as they should be: nothing else is concluded."""
        left = max(0, MAX_ASKED - self.asked)
        asked, unasked = doubtful[:left], doubtful[left:]
        self.asked += len(asked)
        answers = self.ask([one.path for one, _ in asked]) if asked else {}
        for one, is_shown in asked:
            if one.path not in answers:
                self.found.add(Kind.unasked, path=one.path, place=one.row.place)
            elif (size := answers[one.path]) is None:
                self.found.add_file(Kind.missing, one.row, one.path)
            elif flaw := one.flaw(size):
                self.found.add_file(Kind.wrong_size, one.row, one.path, flaw)
            else:
                self.hidden[dirname(one.path)] += not (is_shown or one.row.is_fresh)
                self._fits(one)
        for one, _ in unasked:
            self.found.add(Kind.unasked, path=one.path, place=one.row.place)

    def _fits(self, one: Expected) -> None:
        if one.size_bytes is not None:
            self.sampler.offer(one.row)


def _expected(rows: Sequence[AuditedRow]) -> Iterator[Expected]:
    for row in rows:
        yield Expected(row.path, row.size_bytes, row)
        if row.part_path is not None and has_sidecar(row.part_path):
            yield Expected(sidecar_path(row.path), None, row)
