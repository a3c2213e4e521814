from __future__ import annotations

from dataclasses import replace

import pytest

from frameferry.domain.wording import counted, in_bytes, in_time
from frameferry.planning.pace import Pace
from frameferry.planning.sizing import FIRST_OFFSETS, Budget, records_per_second, size_budget

BUDGET = Budget(max_records=20_000, max_bytes=2 * 1024**3, target_seconds=60)
PACE = Pace(
    fixed_seconds=4.2,
    sure_fixed_seconds=4.0,
    marginal_seconds=0.031,
    bytes_per_record=140_000,
    records_per_offset=1.0,
    longest_offsets=1500,
    recent_seconds=50.7,
    recent_offsets=1500,
)


def test_the_sentence_is_the_one_in_the_design() -> None:
    sizing = size_budget(BUDGET, PACE, 12_400)
    assert sizing.offsets == 1800
    assert sizing.sentence == (
        "1,800 records (about 252 MB): 60 s = 4.2 s fixed + 31 ms a record; "
        "lag 12,400, caught up in 7 min at today's rate"
    )


def test_the_first_batch_is_small() -> None:
    sizing = size_budget(BUDGET, None, 12_400)
    assert sizing.offsets == 64
    assert sizing.sentence == (
        "up to 64 records: a first batch, whose cost nobody knows yet; lag 12,400"
    )


def test_the_first_batch_is_within_max_records_and_the_lag() -> None:
    assert size_budget(replace(BUDGET, max_records=10), None, 12_400).offsets == 10
    assert size_budget(BUDGET, None, 3).offsets == 3


def test_the_first_batch_is_within_max_bytes_even_if_all_records_are_the_largest() -> None:
    budget = replace(BUDGET, largest_record_bytes=50 * 1024**2)
    sizing = size_budget(budget, None, 12_400)
    assert sizing.offsets == 40
    assert "max_bytes of the largest records" in sizing.sentence
    assert size_budget(replace(budget, max_bytes=1), None, 12_400).offsets == 1


def test_a_batch_is_at_most_eight_times_the_longest_of_the_last() -> None:
    sizing = size_budget(BUDGET, replace(PACE, longest_offsets=100), 12_400)
    assert sizing.offsets == 800
    assert "8 times the longest of the last" in sizing.sentence


def test_a_batch_is_as_long_as_its_fixed_cost_asks_for() -> None:
    slow = replace(
        PACE, fixed_seconds=20, sure_fixed_seconds=19, recent_seconds=180, recent_offsets=5000
    )
    sizing = size_budget(BUDGET, slow, 100_000)
    assert sizing.offsets == int((19 / 0.09 - 20) / 0.031)
    assert sizing.sentence.startswith(
        "6,164 records (about 863 MB, so that a tenth is fixed): 4 min = 20 s fixed + 31 ms a rec"
    )


def test_the_bounds_of_records_and_bytes_stay_above_the_fixed_cost() -> None:
    slow = replace(
        PACE, fixed_seconds=20, sure_fixed_seconds=20, recent_seconds=180, recent_offsets=5000
    )
    assert size_budget(replace(BUDGET, max_records=3000), slow, 100_000).offsets == 3000
    assert size_budget(replace(BUDGET, max_bytes=140_000_000), slow, 100_000).offsets == 1000


def test_a_batch_grows_twofold_for_a_fixed_cost_beyond_the_target() -> None:
    slow = replace(PACE, fixed_seconds=20, sure_fixed_seconds=20, recent_seconds=50)
    assert size_budget(BUDGET, slow, 100_000).offsets == int((100 - 20) / 0.031)


def test_a_fixed_cost_that_is_not_sure_asks_for_half_a_batch_only() -> None:
    unsure = replace(PACE, fixed_seconds=50, sure_fixed_seconds=0.0)
    assert size_budget(BUDGET, unsure, 100_000).offsets == int(50 / 0.031)


def test_after_a_trickle_a_backlog_begins_with_what_is_dared_knowing_nothing() -> None:
    single = replace(PACE, longest_offsets=1)
    assert size_budget(BUDGET, single, 12_400).offsets == FIRST_OFFSETS
    large = replace(BUDGET, largest_record_bytes=100 * 1024**2)
    assert size_budget(large, single, 12_400).offsets == 20
    assert size_budget(replace(BUDGET, max_records=7), single, 12_400).offsets == 7


def test_half_markers_take_twice_the_offsets_for_the_same_records() -> None:
    sizing = size_budget(
        BUDGET, replace(PACE, records_per_offset=0.5, longest_offsets=9999), 12_400
    )
    assert sizing.offsets == 3600
    assert sizing.sentence.startswith("1,800 records (about 252 MB): 60 s")
    assert "lag 6,200" in sizing.sentence


def test_max_records_holds_even_if_every_offset_turns_out_a_record() -> None:
    rates = replace(PACE, records_per_offset=0.001, longest_offsets=10**6)
    assert size_budget(BUDGET, rates, 10**7).offsets == 20_000


def test_large_pictures_are_bounded_by_bytes() -> None:
    sizing = size_budget(BUDGET, replace(PACE, bytes_per_record=50_000_000), 12_400)
    assert sizing.offsets == 42
    assert "(about 2.1 GB, max_bytes)" in sizing.sentence


def test_a_record_larger_than_any_budget_still_goes() -> None:
    assert size_budget(BUDGET, replace(PACE, bytes_per_record=1e12), 12_400).offsets == 1


def test_no_batch_is_longer_than_the_last_where_these_took_all_the_time() -> None:
    misled = replace(PACE, marginal_seconds=1e-6, recent_seconds=60, recent_offsets=40)
    sizing = size_budget(BUDGET, misled, 12_400)
    assert sizing.offsets == 40
    assert "as the last, which took long enough" in sizing.sentence
    asking = replace(misled, fixed_seconds=20, sure_fixed_seconds=20)
    assert size_budget(BUDGET, asking, 12_400).offsets == 80


def test_records_that_take_longer_than_the_target_still_go() -> None:
    slow = replace(PACE, fixed_seconds=0.0, sure_fixed_seconds=0.0, marginal_seconds=1e6)
    assert size_budget(BUDGET, slow, 12_400).offsets == 1


def test_ranges_of_markers_only_neither_stop_nor_run_away() -> None:
    nothing = Pace(0.1, 0.0, 0.0, 0.0, 0.0, 64, 0.1, 64)
    sizing = size_budget(BUDGET, nothing, 12_400)
    assert sizing.offsets == 128
    assert sizing.sentence == (
        "128 offsets, twice the longest of the last, hardly a record among the last ones; "
        "lag 12,400"
    )


def test_what_can_be_carried_is_reckoned_with_batches_of_full_size() -> None:
    trickle = replace(PACE, longest_offsets=1, recent_seconds=4.2)
    assert records_per_second(BUDGET, trickle) == pytest.approx(1800 / 60)
    few = replace(BUDGET, max_records=100)
    assert records_per_second(few, trickle) == pytest.approx(100 / 7.3)


def test_no_lag_is_no_batch() -> None:
    assert size_budget(BUDGET, PACE, 0).offsets == 0


def test_all_there_is_says_so() -> None:
    assert size_budget(BUDGET, PACE, 1).sentence == (
        "1 record (about 140 kB, all there is): 4.2 s = 4.2 s fixed + 31 ms a record; "
        "lag 1, caught up with this batch"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0004, "0.4 ms"),
        (0.033, "33 ms"),
        (1.25, "1.2 s"),
        (60, "60 s"),
        (409, "7 min"),
        (10_800, "3 h"),
        (200_000, "2 days"),
    ],
)
def test_durations_are_said_in_the_unit_a_person_would_choose(seconds: float, words: str) -> None:
    assert in_time(seconds) == words


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (252e6, "252 MB"),
        (1.44e9, "1.4 GB"),
        (5e13, "50 TB"),
    ],
)
def test_sizes_are_said_in_decimal_units(number: float, words: str) -> None:
    assert in_bytes(number) == words


def test_one_is_said_in_the_singular() -> None:
    assert [counted(n, "leaf", "leaves") for n in (0, 1, 2)] == ["0 leaves", "1 leaf", "2 leaves"]
