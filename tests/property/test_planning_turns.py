"""
Plan, finish and commit in turns, over logs as producers leave them.

Whether an offset holds a record follows from its number, so that a range of a million offsets is
counted without looking at each: the work is bounded by turns and partitions.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from frameferry.config.settings import PipelineSettings
from frameferry.domain.batch import BatchCost
from frameferry.domain.offsets import OffsetRange, Progress, Watermarks
from frameferry.domain.state import OpenBatch, PipelineState
from frameferry.ledger.progress.chain import follow
from frameferry.pipeline.proposing import Proposal, propose
from frameferry.planning.pace import RECENT, learn_pace
from frameferry.planning.ranges import partition_lags
from frameferry.planning.sizing import FIRST_OFFSETS, GROWTH

TURNS = 40
SIZES = (1, 500, 140_000, 5_000_000, 50_000_000)
LAGS = (0, 0, 1, 2, 7, 64, 1000, 10**6)
"""Skewed on purpose: empty partitions beside one with a million offsets."""
KINDS: dict[str, Callable[[int], int]] = {
    "records only": lambda offset: offset,
    "half markers": lambda offset: (offset + 1) // 2,
    "a marker after seven": lambda offset: offset - offset // 8,
    "markers only": lambda offset: 0 * offset,
    "long stretches of markers": lambda offset: offset // 200 * 100 + min(offset % 200, 100),
}
"""How many of the offsets below one are records."""

TIME = r"[\d.,]+ (ms|s|min|h|days)"
LIMIT = (
    r"(all there is|(twice|8 times) the longest of the last|max_bytes|max_records|"
    r"so that a tenth is fixed|as the last, which took long enough)"
)
FIRST = (
    rf"up to [\d,]+ records?( \(({LIMIT}|max_bytes of the largest records)\))?: "
    r"a first batch, whose cost nobody knows yet; lag [\d,]+"
)
MARKERS = rf"[\d,]+ offsets?(, {LIMIT})?, hardly a record among the last ones; lag [\d,]+"
LEARNT = (
    rf"[\d,]+ records? \(about [\d.]+ (bytes?|kB|MB|GB|TB)(, {LIMIT})?\): {TIME} = {TIME} "
    rf"fixed \+ {TIME} a record; lag [\d,]+, caught up (with this batch|in {TIME} at today's rate)"
)


@dataclass
class World:
    """Kafka's logs, and a ledger that keeps what the planner reads."""

    settings: PipelineSettings
    kinds: dict[int, str]
    size: int
    largest: int
    seconds: float
    marks: dict[int, Watermarks]
    state: PipelineState
    finished: list[OffsetRange] = field(default_factory=list)
    passed_over: dict[int, int] = field(default_factory=dict)

    def propose(self) -> Proposal | None:
        return propose(self.settings, self.state, self.marks, largest_record_bytes=self.largest)

    def freeze(self, proposal: Proposal) -> None:
        planned = {
            wanted.partition: replace(self.state.progress[wanted.partition], planned=wanted.end)
            for wanted in proposal.ranges
        }
        number = len(self.finished) + len(self.state.open_batches) + 1
        leaf = OpenBatch(
            id=number,
            root_id=number,
            kind="live",
            ranges=proposal.ranges,
            inferred=False,
            finished=False,
            held_by_gap=False,
            retry_at=None,
            leased_until=None,
            last_error=None,
            sentence=proposal.sentence,
        )
        self.state = replace(
            self.state,
            progress={**self.state.progress, **planned},
            open_batches=(*self.state.open_batches, leaf),
        )

    def finish(self, leaf: OpenBatch) -> None:
        """Read it, learn from it, commit as far as the chain goes."""
        self.finished += leaf.ranges
        committed = {p: at.committed for p, at in self.state.progress.items()}
        reached = follow(committed, self.finished)
        self.state = replace(
            self.state,
            costs=(self._cost(leaf.ranges), *self.state.costs),
            open_batches=tuple(one for one in self.state.open_batches if one is not leaf),
            progress={
                p: replace(at, committed=reached[p]) for p, at in self.state.progress.items()
            },
        )

    def _cost(self, ranges: tuple[OffsetRange, ...]) -> BatchCost:
        offsets = sum(wanted.length for wanted in ranges)
        records = sum(
            KINDS[self.kinds[wanted.partition]](wanted.end)
            - KINDS[self.kinds[wanted.partition]](wanted.start)
            for wanted in ranges
        )
        return BatchCost(offsets, records, records * self.size, self.seconds * records, 0.0)


def a_world(partitions: int, random: Random) -> World:
    progress, marks = {}, {}
    for number in random.sample(range(2 * partitions), partitions):
        planned = random.randrange(10**6)
        end = planned + random.choice(LAGS)
        progress[number] = Progress(number, planned, planned)
        marks[number] = Watermarks(random.randint(0, planned), end, end + random.choice((0, 3)))
    size = random.choice(SIZES)
    file = {
        "pipeline": "press-a",
        "kafka": {"connection": "plant_kafka", "topic": "press-a.images"},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": "/press-a"},
        "batch": {
            "max_records": random.choice((1, 7, 500, 20_000)),
            "max_bytes": random.choice((1, 10**6, 2 * 1024**3)),
            "max_open": random.choice((1, 2, 3)),
            "target_seconds": random.choice((0.1, 60)),
        },
    }
    now = datetime(2026, 11, 23, tzinfo=UTC)
    return World(
        settings=PipelineSettings.model_validate(file),
        kinds={number: random.choice(list(KINDS)) for number in progress},
        size=size,
        largest=size * random.choice((1, 10)),
        seconds=random.choice((0.0, 0.001, 0.033, 5.0)),
        marks=marks,
        state=PipelineState("press-a", 1, "c", "t", None, progress, (), (), now),
    )


def check_budget(world: World, offsets: int) -> None:
    batch, pace = world.settings.batch, learn_pace(world.state.costs)
    assert 1 <= offsets <= batch.max_records
    if pace is None:
        assert offsets <= FIRST_OFFSETS
        assert offsets == 1 or offsets * world.largest <= batch.max_bytes
        return
    longest = max(cost.offsets for cost in world.state.costs[:RECENT])
    assert offsets <= max(GROWTH * longest, FIRST_OFFSETS)
    learnt = offsets * pace.records_per_offset * pace.bytes_per_record
    assert offsets == 1 or learnt <= batch.max_bytes * 1.000001


def check_ranges(world: World, ranges: tuple[OffsetRange, ...]) -> None:
    """Each goes on where the last one of its partition ended, so none is planned twice."""
    assert [one.partition for one in ranges] == sorted({one.partition for one in ranges})
    for wanted in ranges:
        assert wanted.start == world.state.progress[wanted.partition].planned
        assert wanted.end <= world.marks[wanted.partition].end


def check_turns(world: World, ranges: tuple[OffsetRange, ...]) -> None:
    """No lagging partition is passed over while others take as many offsets as there are places."""
    served = {one.partition for one in ranges}
    taken = sum(one.length for one in ranges)
    for partition in partition_lags(world.state.progress, world.marks):
        before = world.passed_over.get(partition, 0)
        world.passed_over[partition] = 0 if partition in served else before + taken
        assert world.passed_over[partition] < len(world.state.progress)


def check_sentence(sentence: str) -> None:
    assert [form for form in (FIRST, MARKERS, LEARNT) if re.fullmatch(form, sentence)], sentence


@settings(max_examples=20)
@given(
    st.sampled_from([1, 2, 3, 16, 64, 512]) | st.integers(1, 512),
    st.randoms(use_true_random=False),
)
def test_whatever_the_logs_hold_turns_stay_in_budget_and_plan_each_offset_once(
    partitions: int, random: Random
) -> None:
    world = a_world(partitions, random)
    starts = {p: at.planned for p, at in world.state.progress.items()}
    for _ in range(TURNS):
        proposal = world.propose()
        if proposal:
            check_budget(world, sum(one.length for one in proposal.ranges))
            check_ranges(world, proposal.ranges)
            check_turns(world, proposal.ranges)
            check_sentence(proposal.sentence)
            world.freeze(proposal)
        assert len(world.state.open_batches) <= world.settings.batch.max_open
        if world.state.open_batches and (not proposal or random.random() < 0.5):
            world.finish(random.choice(world.state.open_batches))
    while world.state.open_batches:
        world.finish(random.choice(world.state.open_batches))
    taken = {p: at.planned - starts[p] for p, at in world.state.progress.items()}
    assert sum(one.length for one in world.finished) == sum(taken.values())
    assert all(at.committed == at.planned for at in world.state.progress.values())
    if not partition_lags(world.state.progress, world.marks):
        assert all(at.planned == world.marks[p].end for p, at in world.state.progress.items())
