"""Check the promise: each offset below the committed one has an answer, and as many as counted."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

from frameferry.domain.audit import AuditedRow, CountedRange, Kind, Span, place
from frameferry.domain.offsets import OffsetRange
from frameferry.operations.audit.collecting import Collector

PROBED: Final = 20
"""Stretches of offsets without a row in which Kafka is asked for a record, at most."""
Gap = tuple[int, int]
"""Lost offsets `[start, end)` of one partition."""


class Answers:
    """
    Follows the rows of one span in order of their offsets, beside what was counted of it.

    `rowless` are some of the stretches that Kafka holds, that are committed, and that have no row.
    """

    def __init__(
        self,
        span: Span,
        counted: Sequence[CountedRange],
        gaps: Sequence[Gap],
        found: Collector,
        *,
        low: int | None,
        chance: random.Random,
    ) -> None:
        self._span = span
        self._counted = iter(counted)
        self._found = found
        self._blanks = _Blanks([*gaps, *((one.start, one.end) for one in counted if one.is_pruned)])
        self._chance = chance
        self._next = None if low is None else max(low, span.start)
        self._stretches = 0
        self.rowless: list[OffsetRange] = []
        self._recount: _Recount | None = None
        self._turn()
        self._look_for_uncovered(counted, gaps)

    def meet(self, rows: Sequence[AuditedRow]) -> None:
        """Follow some rows, in order."""
        for row in rows:
            if row.outcome is None and row.offset < self._span.committed:
                self._found.add(Kind.unanswered, place=row.place, detail="its row has no outcome")
            self._pass(row.offset)
            while self._recount is not None and row.offset >= self._recount.of.end:
                self._end_range()
            if self._recount is not None and row.outcome != "gap":
                self._recount.meet(row.offset)

    def end(self) -> None:
        """End: no row follows."""
        self._pass(self._span.committed)
        while self._recount is not None:
            self._end_range()

    def _pass(self, offset: int) -> None:
        """Note the offsets without a row up to the next row."""
        if self._next is None:
            return
        end = min(offset, self._span.committed)
        if self._next < end:
            for start, stop in self._blanks.left_of(self._next, end):
                self._draw(OffsetRange(self._span.partition, start, stop))
        self._next = max(self._next, offset + 1)

    def _draw(self, stretch: OffsetRange) -> None:
        """Keep each stretch as likely as any other."""
        self._found.add(Kind.rowless, count=stretch.length)
        self._stretches += 1
        if len(self.rowless) < PROBED:
            self.rowless.append(stretch)
        elif (at := self._chance.randrange(self._stretches)) < PROBED:
            self.rowless[at] = stretch

    def _turn(self) -> None:
        one = next(self._counted, None)
        self._recount = None if one is None else _Recount(one)

    def _end_range(self) -> None:
        assert self._recount is not None
        one = self._recount.of
        if not one.is_pruned and (flaw := self._recount.flaw()):
            where = place(self._span.generation, one.partition, one.start)
            detail = f"batch {one.batch_id}, {one.offsets}: {flaw}"
            self._found.add(Kind.miscounted, place=where, detail=detail)
        self._turn()

    def _look_for_uncovered(self, counted: Sequence[CountedRange], gaps: Sequence[Gap]) -> None:
        """Look for offsets that no batch carried, and that are in no gap."""
        covered = sorted([*((one.start, one.end) for one in counted), *gaps])
        position = self._span.start
        for start, end in [*covered, (self._span.committed, self._span.committed)]:
            stop = min(start, self._span.committed)
            if position < stop:
                where = place(self._span.generation, self._span.partition, position)
                detail = f"{OffsetRange(self._span.partition, position, stop)}: in no batch or gap"
                count = stop - position
                self._found.add(Kind.unanswered, place=where, detail=detail, count=count)
            position = max(position, end)


class _Recount:
    """Counts a range's rows as deliver counted its records."""

    def __init__(self, of: CountedRange) -> None:
        self.of = of
        self._count = 0
        self._digest = hashlib.sha256()

    def meet(self, offset: int) -> None:
        # What a truncated log no longer held was not counted: it lies behind what was.
        if self.of.seen_from <= offset < self.of.end and self._count < self.of.records:
            self._count += 1
            self._digest.update(b"%d\n" % offset)

    def flaw(self) -> str:
        if self._count != self.of.records:
            return f"{self._count:,} rows of {self.of.records:,} records"
        if self._digest.hexdigest() != self.of.digest:
            return f"its {self._count:,} rows are of other offsets"
        return ""


class _Blanks:
    """Stretches in which nothing is expected, joined and in order."""

    def __init__(self, stretches: Sequence[Gap]) -> None:
        self._joined: list[Gap] = []
        for start, end in sorted(stretches):
            if self._joined and start <= self._joined[-1][1]:
                self._joined[-1] = (self._joined[-1][0], max(end, self._joined[-1][1]))
            else:
                self._joined.append((start, end))

    def left_of(self, start: int, end: int) -> Iterator[Gap]:
        """Yield what they leave of `[start, end)`."""
        at = bisect_right(self._joined, start, key=lambda one: one[1])
        edges = [start]
        while at < len(self._joined) and self._joined[at][0] < end:
            edges += [max(start, self._joined[at][0]), min(end, self._joined[at][1])]
            at += 1
        edges.append(end)
        yield from (pair for pair in list(pairwise(edges))[::2] if pair[0] < pair[1])
