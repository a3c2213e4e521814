from __future__ import annotations

import math
from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from frameferry.domain.batch import StageRates
from frameferry.planning.sizing import FIRST_OFFSETS, GROWTH, Budget, size_budget

SIZES = st.sampled_from([0, 1, 500, 140_000, 5_000_000, 50_000_000])
BUDGETS = st.builds(
    Budget,
    max_records=st.integers(1, 50_000),
    max_bytes=st.integers(1, 10**11),
    target_seconds=st.floats(0.001, 10_000),
    largest_record_bytes=st.none() | st.integers(0, 10**9),
)
RATES = st.builds(
    StageRates,
    infer_seconds_per_record=st.floats(0, 1000),
    deliver_seconds_per_record=st.floats(0, 1000),
    bytes_per_record=st.floats(0, 5e7),
    records_per_offset=st.floats(0, 1),
    last_offsets=st.integers(1, 50_000),
)
LAGS = st.integers(1, 10**12)


@given(BUDGETS, RATES, LAGS)
def test_a_batch_is_within_every_bound_unless_it_is_one_offset(
    budget: Budget, rates: StageRates, lag: int
) -> None:
    offsets = size_budget(budget, rates, lag).offsets
    knowing_nothing = size_budget(budget, None, lag).offsets
    grown = max(GROWTH * rates.last_offsets, knowing_nothing)
    assert 1 <= offsets <= min(lag, budget.max_records, grown)
    if offsets > 1:
        records = offsets * rates.records_per_offset
        seconds = rates.infer_seconds_per_record + rates.deliver_seconds_per_record
        assert records * rates.bytes_per_record <= budget.max_bytes * 1.000001
        assert offsets <= FIRST_OFFSETS or records * seconds <= budget.target_seconds * 1.000001


@given(BUDGETS, LAGS)
def test_a_first_batch_is_within_every_bound_too(budget: Budget, lag: int) -> None:
    offsets = size_budget(budget, None, lag).offsets
    assert 1 <= offsets <= min(lag, budget.max_records, FIRST_OFFSETS)
    if offsets > 1:
        assert offsets * (budget.largest_record_bytes or 0) <= budget.max_bytes


@given(BUDGETS, st.none() | RATES, LAGS)
def test_every_decision_is_one_sentence_without_odd_numbers(
    budget: Budget, rates: StageRates | None, lag: int
) -> None:
    sentence = size_budget(budget, rates, lag).sentence
    assert sentence.strip()
    assert "\n" not in sentence
    assert not {"nan", "inf", "-0"} & set(sentence.split())
    assert len(sentence) < 200


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.integers(200, 20_000),
    SIZES,
    st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([0.0, 0.001, 0.05, 2.0]),
)
def test_the_controller_learns_its_way_to_the_target(
    seed: int, lag: int, size: int, share: float, seconds: float
) -> None:
    """A log with markers among its offsets: batches grow by doubling and stay within bounds."""
    budget = Budget(max_records=5000, max_bytes=200_000_000, target_seconds=10)
    random, rates, batches = Random(seed), None, []
    while lag and len(batches) < 60:
        offsets = size_budget(budget, rates, lag).offsets
        records = sum(random.random() < share for _ in range(offsets))
        batches.append(offsets)
        lag -= offsets
        rates = StageRates(seconds, 0.0, float(size), records / offsets, offsets)
    assert batches[0] <= FIRST_OFFSETS
    assert all(later <= max(GROWTH * earlier, 64) for earlier, later in pairwise(batches))
    assert max(batches) <= budget.max_records
    if len(batches) < 60:
        assert lag == 0
    steady = math.ceil(math.log2(budget.max_records))
    if share == 1.0 and seconds and len(batches) > steady + 1:
        timely = max(10 / seconds, FIRST_OFFSETS)
        wanted = min(timely, 5000, 200_000_000 / max(size, 1))
        assert abs(batches[steady] - wanted) <= 1
