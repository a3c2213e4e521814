"""Work is bounded: a budget is drawn as a number of plans, not as offsets."""

from __future__ import annotations

from math import ceil
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from frameferry.domain.offsets import Progress, Watermarks
from frameferry.planning.ranges import partition_lags, plan_ranges

PARTITIONS = st.sampled_from([1, 2, 3, 5, 16, 100, 512]) | st.integers(1, 512)
LAGS = (0, 0, 1, 1, 2, 7, 64, 1000, 10**6)
"""Skewed on purpose: empty partitions beside one with a million offsets."""

few = settings(max_examples=25)


def a_world(
    partitions: int, random: Random, lags: tuple[int, ...] = LAGS
) -> tuple[dict[int, Progress], dict[int, Watermarks]]:
    """Draw a topic: numbers with holes (a share of it), logs that begin anywhere."""
    numbers = random.sample(range(2 * partitions), partitions)
    progress, marks = {}, {}
    for number in numbers:
        planned = random.randrange(10**9)
        end = planned + random.choice(lags)
        low = random.randint(0, planned)
        progress[number] = Progress(number, planned, random.randint(0, planned))
        marks[number] = Watermarks(low, end, end + random.choice((0, 3)))
    return progress, marks


@few
@given(PARTITIONS, st.randoms(use_true_random=False), st.integers(0, 2000))
def test_ranges_are_within_the_budget_and_use_all_of_it(
    partitions: int, random: Random, budget: int
) -> None:
    progress, marks = a_world(partitions, random)
    ranges = plan_ranges(progress, marks, budget_offsets=budget)
    lag = sum(partition_lags(progress, marks).values())
    assert sum(wanted.length for wanted in ranges) == min(budget, lag)
    assert [wanted.partition for wanted in ranges] == sorted({r.partition for r in ranges})
    for wanted in ranges:
        assert wanted.start == progress[wanted.partition].planned
        assert wanted.end <= marks[wanted.partition].end


@few
@given(PARTITIONS, st.randoms(use_true_random=False), st.integers(1, 2000))
def test_no_partition_gets_more_than_one_that_could_have_used_it(
    partitions: int, random: Random, budget: int
) -> None:
    progress, marks = a_world(partitions, random)
    lags = partition_lags(progress, marks)
    shares = dict.fromkeys(lags, 0)
    shares |= {r.partition: r.length for r in plan_ranges(progress, marks, budget_offsets=budget)}
    left_wanting = [share for partition, share in shares.items() if share < lags[partition]]
    assert max(shares.values(), default=0) <= min(left_wanting, default=10**9) + 1
    if budget >= len(lags):
        assert min(shares.values(), default=1) >= 1


@few
@given(PARTITIONS, st.randoms(use_true_random=False), st.integers(1, 40))
def test_every_lagging_partition_is_served_in_time_whatever_the_others_do(
    partitions: int, random: Random, budget: int
) -> None:
    progress, marks = a_world(partitions, random, lags=(0, 1, 5))
    patient = random.choice(list(progress))
    marks[patient] = Watermarks(0, progress[patient].planned + 1, progress[patient].planned + 1)
    for _ in range(ceil(partitions / budget)):
        ranges = plan_ranges(progress, marks, budget_offsets=budget)
        if patient in {wanted.partition for wanted in ranges}:
            return
        for wanted in ranges:
            progress[wanted.partition] = Progress(wanted.partition, wanted.end, 0)
        for number in random.sample(list(marks), min(len(marks), 3)):
            if number != patient:
                end = marks[number].end + random.choice((0, 1, 9))
                marks[number] = Watermarks(0, end, end)
    msg = f"partition {patient} was never served"
    raise AssertionError(msg)


@few
@given(st.integers(1, 40), st.randoms(use_true_random=False), st.integers(1, 25), st.integers(0, 5))
def test_planning_in_turn_reads_every_offset_exactly_once(
    partitions: int, random: Random, plans: int, arrivals: int
) -> None:
    progress, marks = a_world(partitions, random, lags=(0, 1, 3, 50))
    starts = {number: known.planned for number, known in progress.items()}
    met: dict[int, list[tuple[int, int]]] = {number: [] for number in starts}
    total = sum(partition_lags(progress, marks).values())
    budget = max(ceil(total / plans), 1)
    while ranges := plan_ranges(progress, marks, budget_offsets=budget):
        for wanted in ranges:
            met[wanted.partition].append((wanted.start, wanted.end))
            progress[wanted.partition] = Progress(wanted.partition, wanted.end, wanted.end)
        if arrivals:
            arrivals -= 1
            number = random.choice(list(marks))
            end = marks[number].end + 2
            marks[number] = Watermarks(0, end, end)
    for number, ranges_met in met.items():
        edges = [starts[number], *[end for _, end in ranges_met]]
        assert [start for start, _ in ranges_met] == edges[:-1]
        assert edges[-1] == max(marks[number].end, starts[number])
