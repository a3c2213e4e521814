"""
The controller, on machines of any constants.

How right a size is, is judged by what it takes on average there: `Machine.miss`. Simulations have
noise, so that what holds for nearly all draws is asked of the same draws each time; what holds for
every input is asked of new ones.
"""

from __future__ import annotations

from dataclasses import replace
from math import exp, log
from random import Random

import pytest
from fixtures.machine import Machine
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from frameferry.domain.batch import BatchCost
from frameferry.planning.pace import RECENT, learn_pace
from frameferry.planning.sizing import FIRST_OFFSETS, GROWTH, UNSEEN_GROWTH, Budget, size_budget

BATCHES = 6
"""So many may be wrong from no history on, or from a change."""
RIGHT = (0.8, 1.25)
BUDGETS = st.builds(
    Budget,
    max_records=st.integers(1, 50_000),
    max_bytes=st.integers(1, 10**11),
    target_seconds=st.floats(0.001, 10_000),
    largest_record_bytes=st.none() | st.integers(0, 10**9),
)
COSTS = st.builds(
    lambda offsets, share, size, infer, deliver, loading: BatchCost(
        offsets, int(offsets * share), int(offsets * share) * size, infer, deliver, loading
    ),
    st.integers(1, 50_000),
    st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1),
    st.sampled_from([0, 1, 500, 140_000, 50_000_000]),
    *[st.just(0.0) | st.floats(0, 10_000)] * 3,
)
HISTORIES = st.lists(COSTS, min_size=1, max_size=30)
LAGS = st.integers(1, 10**12)


def between(low: float, high: float) -> st.SearchStrategy[float]:
    """Draw as often from each order of magnitude."""
    return st.floats(log(low), log(high)).map(exp)


@st.composite
def machines(draw: st.DrawFn, *, noise: float, fixed: tuple[float, float] = (0.05, 20)) -> Machine:
    size, marginal = int(draw(between(20_000, 12e6))), draw(between(0.0005, 2))
    by_bytes = draw(st.sampled_from([0.0, 0.5, 1.0]))
    return Machine(
        budget=Budget(
            max_records=draw(st.sampled_from([20_000, 10**6])),
            max_bytes=draw(st.sampled_from([2 * 1024**3, 10**11])),
            target_seconds=draw(st.sampled_from([10.0, 30.0, 60.0, 300.0])),
        ),
        fixed=draw(between(*fixed)),
        per_record=marginal * (1 - by_bytes),
        per_byte=marginal * by_bytes / size,
        size=size,
        noise=draw(st.floats(0, noise)),
        cold_share=draw(st.sampled_from([0.0, 0.1])),
        random=Random(draw(st.integers(0, 2**32))),
    )


def is_right(miss: float) -> bool:
    return RIGHT[0] <= miss <= RIGHT[1]


@given(BUDGETS, HISTORIES, LAGS)
@settings(max_examples=60)
def test_a_batch_is_within_every_bound_unless_it_is_one_offset(
    budget: Budget, costs: list[BatchCost], lag: int
) -> None:
    pace = learn_pace(costs)
    assert pace is not None
    offsets = size_budget(budget, pace, lag).offsets
    growth = GROWTH if pace.records_per_offset else UNSEEN_GROWTH
    knowing_nothing = size_budget(budget, None, lag).offsets
    grown = max(growth * max(cost.offsets for cost in costs[:RECENT]), knowing_nothing)
    assert 1 <= offsets <= min(lag, budget.max_records, grown)
    if offsets > 1:
        records = offsets * pace.records_per_offset
        assert records * pace.bytes_per_record <= budget.max_bytes * 1.000001


@given(BUDGETS, LAGS)
def test_a_first_batch_is_within_every_bound_too(budget: Budget, lag: int) -> None:
    offsets = size_budget(budget, None, lag).offsets
    assert 1 <= offsets <= min(lag, budget.max_records, FIRST_OFFSETS)
    if offsets > 1:
        assert offsets * (budget.largest_record_bytes or 0) <= budget.max_bytes


@given(BUDGETS, st.just([]) | HISTORIES, LAGS)
@settings(max_examples=60)
def test_every_decision_is_one_sentence_without_odd_numbers(
    budget: Budget, costs: list[BatchCost], lag: int
) -> None:
    sentence = size_budget(budget, learn_pace(costs), lag).sentence
    assert sentence.strip()
    assert "\n" not in sentence
    assert not {"nan", "inf", "-0"} & set(sentence.split())
    assert len(sentence) < 200


@settings(max_examples=40, derandomize=True)
@given(machines(noise=0.05), st.sampled_from([0.0, 25.0, 60.0, 120.0]), st.booleans())
def test_within_six_batches_a_batch_takes_what_it_should_and_there_it_stays(
    machine: Machine, cold_seconds: float, says: bool
) -> None:
    """A first batch may be cold without saying so."""
    assume(machine.fixed <= machine.budget.target_seconds / 2)
    misses = [machine.miss(machine.carry(loading=cold_seconds, says=says))]
    misses += [machine.miss(machine.carry()) for _ in range(19)]
    assert all(map(is_right, misses[BATCHES - 1 :])), misses


@pytest.mark.parametrize(("fixed", "per_record"), [(0.11, 0.8834), (1.71, 1.1967), (5.08, 1.339)])
def test_a_first_batch_that_was_cold_and_does_not_say_so_is_left_out(
    fixed: float, per_record: float
) -> None:
    for seed in range(20):
        budget = Budget(20_000, 10**11, 300)
        place = {"per_byte": 0.0, "size": 200_000, "noise": 0.02, "random": Random(seed)}
        machine = Machine(budget, fixed, per_record, **place)
        misses = [machine.miss(machine.carry(loading=60, says=False))]
        misses += [machine.miss(machine.carry()) for _ in range(19)]
        assert all(map(is_right, misses[BATCHES - 1 :])), (seed, misses)


@pytest.mark.parametrize(("noise", "share"), [(0.1, 0.995), (0.15, 0.99), (0.2, 0.98)])
def test_on_noisy_machines_nearly_all_batches_take_what_they_should(
    noise: float, share: float
) -> None:
    """Of any constants; one in ten is cold, by up to two minutes, and one in fifty tenfold."""
    misses = []
    for seed in range(60):
        random = Random(seed)
        machine = drawn(random, noise)
        for number in range(26):
            is_cold = number == 0 or random.random() < 0.1
            slower = 10.0 if random.random() < 0.02 else 1.0
            loading = random.uniform(10, 120) if is_cold else 0.0
            miss = machine.miss(machine.carry(slower=slower, loading=loading))
            misses += [miss] if number >= BATCHES else []
    assert sum(map(is_right, misses)) > share * len(misses)


def drawn(random: Random, noise: float) -> Machine:
    """Draw a machine of any constants, the same for the same random."""

    def between_orders(low: float, high: float) -> float:
        return exp(random.uniform(log(low), log(high)))

    size, marginal = int(between_orders(20_000, 12e6)), between_orders(0.0005, 2)
    by_bytes = random.choice([0.0, 0.5, 1.0])
    return Machine(
        Budget(20_000, 10**11, random.choice([10.0, 30.0, 60.0, 300.0])),
        fixed=between_orders(0.05, 20),
        per_record=marginal * (1 - by_bytes),
        per_byte=marginal * by_bytes / size,
        size=size,
        noise=noise,
        random=Random(random.randint(0, 2**32)),
    )


@settings(max_examples=40, derandomize=True)
@given(
    machines(noise=0.05),
    st.integers(4, 25),
    st.sampled_from(["tenfold", "cold", "cold, unsaid"]),
    st.floats(10, 120),
)
def test_one_odd_batch_hardly_moves_the_next_ones(
    machine: Machine, before: int, kind: str, loading: float
) -> None:
    """Where more than a tenth is fixed it may delay the growth for that: to stay is right, too."""
    for _ in range(before):
        machine.carry()
    world = machine.random.getstate()
    usual = replace(machine, costs=list(machine.costs), random=Random())
    usual.random.setstate(world)
    usual.carry()
    if kind == "tenfold":
        machine.carry(slower=10)
    else:
        machine.carry(loading=loading, says=kind == "cold")
    for _ in range(4):
        moved = abs(machine.plan() - usual.plan())
        assert moved <= max(0.3 * usual.plan(), 1) or is_right(machine.miss(machine.plan()))
        machine.carry()
        usual.carry()


@settings(max_examples=25, derandomize=True)
@given(machines(noise=0.02, fixed=(7, 20)), between(0.0005, 0.05))
def test_no_batch_is_so_small_that_more_than_a_tenth_is_fixed(
    machine: Machine, per_record: float
) -> None:
    machine.budget = Budget(max_records=10**7, max_bytes=10**14, target_seconds=30)
    machine.per_record, machine.per_byte = per_record, 0.0
    sizes = [machine.carry(loading=20.0 if number == 0 else 0.0) for number in range(13)]
    assert machine.fixed <= 0.115 * machine.seconds(sizes[-1])


@pytest.mark.parametrize(("share", "per_record"), [(0.8, 0.005), (0.8, 0.02), (0.97, 0.005)])
def test_a_fixed_cost_that_is_nearly_all_the_target_is_found_though_all_batches_are_alike(
    share: float, per_record: float
) -> None:
    """The first batch happens to be right, and so those that follow are of its size."""
    budget = Budget(max_records=10**7, max_bytes=10**14, target_seconds=20)
    place = {"per_byte": 0.0, "size": 200_000, "noise": 0.02}
    for seed in range(5):
        machine = Machine(budget, share * 20, per_record, **place, random=Random(seed))
        sizes = [machine.carry() for _ in range(30)]
        assert machine.fixed <= 0.13 * machine.seconds(sizes[-1]), sizes


def test_under_a_long_backlog_what_is_fixed_is_not_forgotten() -> None:
    """All batches are long and alike by then: only those of the beginning tell."""
    budget = Budget(max_records=10**7, max_bytes=10**14, target_seconds=20)
    place = {"per_byte": 0.0, "size": 200_000, "noise": 0.02}
    for seed in range(3):
        machine = Machine(budget, 6.0, 0.02, **place, random=Random(seed))
        sizes = [machine.carry() for _ in range(110)]
        shares = [machine.fixed / machine.seconds(size) for size in sizes[20:]]
        assert max(shares) <= 0.13, shares


def test_empty_pictures_are_sized_by_their_number() -> None:
    machine = Machine(Budget(20_000, 10**9, 60), 2.0, 0.05, 0.0, size=0, random=Random(1))
    sizes = [machine.carry() for _ in range(12)]
    machine.costs = [replace(cost, size_bytes=0) for cost in machine.costs]
    assert machine.plan() == pytest.approx((60 - 2.0) / 0.05, rel=0.2)
    assert sizes[-1] == pytest.approx((60 - 2.0) / 0.05, rel=0.2)


@settings(max_examples=25, derandomize=True)
@given(machines(noise=0.02, fixed=(0.05, 5)), st.integers(4, 25), between(20_000, 12e6))
def test_pictures_of_another_size_pass_max_bytes_once_and_are_learnt(
    machine: Machine, before: int, size: float
) -> None:
    for _ in range(before):
        machine.carry()
    machine.size = int(size)
    assume(machine.seconds(2) <= machine.budget.target_seconds)
    sizes = [machine.carry() for _ in range(14)]
    assert all(n == 1 or n * machine.size <= machine.budget.max_bytes for n in sizes[1:])
    assert all(is_right(machine.miss(records)) for records in sizes[BATCHES + 2 :])


@settings(max_examples=10, derandomize=True)
@given(
    machines(noise=0.02, fixed=(0.05, 2)),
    st.integers(8, 25),
    st.sampled_from([1 / 8, 1 / 4, 4, 8]),
)
def test_a_machine_that_changes_for_good_is_learnt_anew(
    machine: Machine, before: int, slower: float
) -> None:
    for _ in range(before):
        machine.carry()
    machine.fixed *= slower
    machine.per_record *= slower
    machine.per_byte *= slower
    misses = [machine.miss(machine.carry()) for _ in range(30)]
    assert all(map(is_right, misses[2 * BATCHES :])), misses


@settings(max_examples=20, derandomize=True)
@given(machines(noise=0.02, fixed=(0.05, 1)))
def test_workers_that_load_for_each_batch_are_a_fixed_cost(machine: Machine) -> None:
    """So it is on spark-submit: each batch has workers of its own."""
    loading, target = 20.0, 300.0
    machine.budget = replace(machine.budget, target_seconds=target)
    sizes = [machine.carry(loading=loading) for _ in range(10)]
    whole = replace(machine, fixed=machine.fixed + loading)
    assert all(is_right(whole.miss(records)) for records in sizes[BATCHES:])
