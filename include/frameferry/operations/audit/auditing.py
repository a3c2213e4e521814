"""Audit a pipeline: list what lies on the server, walk through the ledger, ask Kafka, report."""

from __future__ import annotations

import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from posixpath import dirname
from typing import Final

import structlog

from frameferry.domain.audit import AuditedRow, CountedRange, Kind, Report, Span, place
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.state import PipelineState
from frameferry.errors import (
    KafkaUnavailable,
    LedgerUnavailable,
    TopicChanged,
    TopicCompacted,
    TopicMissing,
)
from frameferry.operations.audit.answering import Answers
from frameferry.operations.audit.collecting import Collector
from frameferry.operations.audit.comparing import Comparison, Place, Sampler
from frameferry.operations.audit.inventory import Inventory
from frameferry.operations.audit.leftovers import Leftovers, names_of
from frameferry.operations.audit.probing import look_at_topic, probe, recount
from frameferry.operations.audit.showing import Server
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver.login import connection_to_look
from frameferry.pipeline.world import world

log = structlog.get_logger()

ROWS_AT_ONCE: Final = 5_000
RANGES_AT_ONCE: Final = 50_000
_AWAY: Final = (KafkaUnavailable, TopicMissing, TopicChanged, TopicCompacted)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What a person wishes of an audit.

    `since_ms` and `until_ms` (exclusive) bound the records by their own timestamps, None for no
    bound: of others no file is looked at. `sample` files are read back. `recount` reads all that
    Kafka still holds.
    """

    since_ms: int | None
    until_ms: int | None
    sample: int
    with_kafka: bool
    recount: bool

    @property
    def is_bounded(self) -> bool:
        """Say whether only some records are wanted."""
        return self.since_ms is not None or self.until_ms is not None

    def wants(self, row: AuditedRow) -> bool:
        """Say whether a row's file is to be looked at."""
        return (self.since_ms is None or self.since_ms <= row.timestamp_ms) and (
            self.until_ms is None or row.timestamp_ms < self.until_ms
        )


@dataclass(frozen=True, slots=True)
class Audited:
    """A report, and what a repair needs: the rows, and Kafka's watermarks, if it was asked."""

    report: Report
    to_repair: Sequence[AuditedRow]
    left: int
    marks: Mapping[int, Watermarks]


def audit(ctx: Context, wish: Wish) -> Audited:
    """
    Compare Kafka, the ledger and the FTP server, and say what is not as it should be.

    Nothing is changed. A pipeline may run meanwhile. Memory stays flat, whatever the number of
    records: what lists show is kept on disk, in the system's folder for such files.

    1. Ask Kafka what it holds. 2. List the server, or the folders of the records that are wanted.
    3. Walk through the rows that stand: compare each file, and count the records of each range.
    4. Sort the files that are left. 5. Read a sample back. 6. Look for records in Kafka where the
    ledger has none.

    Raises:
        LedgerConflict: The ledger does not know the pipeline.
        FtpUnavailable, DeliveryRefused, PipelineBlocked: The server cannot be looked at.
        LedgerUnavailable: It is down, or what it holds was taken away meanwhile: audit again.
    """
    return _Audit(ctx, wish, world.state(ctx)).run()


@dataclass
class _Audit:
    """One audit; `files` and `records` are how many were compared."""

    ctx: Context
    wish: Wish
    known: PipelineState
    found: Collector = field(default_factory=Collector)
    chance: random.Random = field(default_factory=lambda: random.Random())  # noqa: S311, PLW0108 - it draws samples
    marks: Mapping[int, Watermarks] = field(default_factory=dict)
    rowless: list[OffsetRange] = field(default_factory=list)
    files: int = 0
    records: int = 0

    def run(self) -> Audited:
        began, clock = datetime.now(UTC), time.monotonic()
        pruned = self.ctx.ledger.count_pruned(self.ctx.pipeline)
        self._look_at_kafka()
        sampler = Sampler(self.wish.sample, self.chance)
        with _inventory() as inventory, connection_to_look(self.ctx) as ftp:
            server = Server(ftp, self.ctx.settings.deliver.base)
            self._list(server, inventory)
            comparison = Comparison(inventory, server.sizes, self._place(), self.found, sampler)
            self._walk(comparison, server)
            self._sort_left(inventory)
            server.read_back(sampler.drawn, self.found)
            server.tell_flaws(comparison.hidden, self.found)
        self._look_into_kafka()
        self.found.add(Kind.pruned, count=pruned)
        self._refuse_changed(pruned)
        report = self._report(began, time.monotonic() - clock, len(sampler.drawn))
        log.info("pipeline.audited", pipeline=self.ctx.pipeline, found=report.sentence)
        to_repair = self.found.to_repair
        return Audited(report, to_repair, self.found.repairable - len(to_repair), self.marks)

    def _look_at_kafka(self) -> None:
        if not self.wish.with_kafka:
            self.found.add(Kind.left_out, detail="Kafka was not asked")
            return
        try:
            self.marks = look_at_topic(self.ctx, self.known).watermarks
        except _AWAY as error:
            self.found.add(Kind.not_compared, detail=f"Kafka was not asked: {error}")

    def _list(self, server: Server, inventory: Inventory) -> None:
        if not self.wish.is_bounded:
            self.files = server.show_all(inventory)
            return
        for span in self._spans:
            for rows in self._rows(span):
                inventory.want({dirname(row.path) for row in rows if self.wish.wants(row)})
        self.files = server.show_wanted(inventory)

    def _walk(self, comparison: Comparison, server: Server) -> None:
        for span in self._spans:
            answers = self._answers(span)
            for rows in self._rows(span):
                if answers is not None:
                    answers.meet(rows)
                wanted = [row for row in rows if self.wish.wants(row)]
                self.records += len(wanted)
                self._tell_quarantined(wanted)
                comparison.meet(wanted)
                server.keep_alive()
            if answers is not None:
                answers.end()
                self.rowless += answers.rowless

    def _answers(self, span: Span) -> Answers | None:
        """Check the promise of offsets that mean what they meant: of the newest generation."""
        if span.generation != self.known.generation:
            return None
        mark = self.marks.get(span.partition)
        return Answers(
            span,
            self._counted[span.partition],
            [(start, end) for start, end, _ in self._gaps[span]],
            self.found,
            low=None if mark is None else mark.low,
            chance=self.chance,
        )

    def _sort_left(self, inventory: Inventory) -> None:
        leftovers = Leftovers(
            self.ctx, names_of(self.ctx, self.known.generation), self._gaps, self.found
        )
        for files in inventory.unknown():
            leftovers.meet(files)

    def _look_into_kafka(self) -> None:
        if not self.marks:
            return
        generation = self.known.generation
        chosen = sorted(self.rowless)
        try:
            probe(self.ctx, generation, chosen, self.found)
            if self.wish.recount:
                counted = [one for ranges in self._counted.values() for one in ranges]
                recount(self.ctx, generation, counted, self.marks, self.found)
            # What was read by name and offset counts only if the topic still is the same.
            look_at_topic(self.ctx, self.known)
        except _AWAY as error:
            self.found.add(Kind.not_compared, detail=f"Kafka could not be read: {error}")

    def _tell_quarantined(self, rows: Sequence[AuditedRow]) -> None:
        for row in rows:
            if row.outcome == "quarantined":
                self.found.add(Kind.quarantined, place=row.place)

    def _refuse_changed(self, pruned: int) -> None:
        """Make sure that nobody took away what was looked at meanwhile."""
        is_pruned = self.ctx.ledger.count_pruned(self.ctx.pipeline) != pruned
        if is_pruned or world.state(self.ctx).generation != self.known.generation:
            what = "records were pruned" if is_pruned else "a new generation began"
            msg = f"{what} while they were audited; what was found does not count"
            raise LedgerUnavailable(msg, remedy="Audit again", pipeline=self.ctx.pipeline)

    def _report(self, began: datetime, seconds: float, sampled: int) -> Report:
        for span, gaps in self._gaps.items():
            for start, end, is_accepted in gaps:
                self.found.add(
                    Kind.gap,
                    place=place(span.generation, span.partition, start),
                    detail=f"until {end}, {'accepted' if is_accepted else 'not accepted yet'}",
                    count=end - start,
                )
        return Report(
            pipeline=self.ctx.pipeline,
            began_at=began,
            seconds=seconds,
            since=_moment(self.wish.since_ms),
            until=_moment(self.wish.until_ms),
            with_kafka=bool(self.marks),
            records=self.records,
            files=self.files,
            sampled=sampled,
            findings=self.found.findings(self.ctx.pipeline),
        )

    def _place(self) -> Place:
        deliver = self.ctx.settings.deliver
        return Place(self.ctx.ftp.destination, deliver.base, deliver.after == "taken")

    def _rows(self, span: Span) -> Iterator[list[AuditedRow]]:
        start = 0
        while rows := self.ctx.ledger.audited_rows(
            self.ctx.pipeline, span, start=start, limit=ROWS_AT_ONCE, began=self.known.now
        ):
            yield rows
            start = rows[-1].offset + 1

    @cached_property
    def _spans(self) -> list[Span]:
        return self.ctx.ledger.audited_spans(self.ctx.pipeline)

    @cached_property
    def _counted(self) -> Mapping[int, list[CountedRange]]:
        found: defaultdict[int, list[CountedRange]] = defaultdict(list)
        since = (0, 0)
        while ranges := self.ctx.ledger.counted_ranges(
            self.ctx.pipeline, self.known.generation, since=since, limit=RANGES_AT_ONCE
        ):
            for one in ranges:
                found[one.partition].append(one)
            since = (ranges[-1].partition, ranges[-1].end)
        return found

    @cached_property
    def _gaps(self) -> Mapping[Span, list[tuple[int, int, bool]]]:
        ledger, name = self.ctx.ledger, self.ctx.pipeline
        return {span: ledger.lost_ranges(name, span) for span in self._spans}


@contextmanager
def _inventory() -> Iterator[Inventory]:
    with (
        tempfile.TemporaryDirectory(prefix="frameferry-audit-") as folder,
        closing(Inventory(Path(folder))) as inventory,
    ):
        yield inventory


def _moment(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else _EPOCH + timedelta(milliseconds=milliseconds)
