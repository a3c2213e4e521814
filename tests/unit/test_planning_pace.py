from __future__ import annotations

from dataclasses import replace

import pytest

from frameferry.domain.batch import BatchCost
from frameferry.ledger.progress.states import KNOWN_BATCHES
from frameferry.planning.pace import REMEMBERED, SHORTENED, Pace, learn_pace

PICTURE = 140_000


def cost(
    records: int, *, loading: float = 0.0, size: int = PICTURE, offsets: int = 0, times: float = 1.0
) -> BatchCost:
    """Four seconds, and 31 ms a record."""
    seconds = (4 + 0.031 * records) * times
    return BatchCost(
        offsets or records, records, records * size, 0.7 * seconds + loading, 0.3 * seconds, loading
    )


def learnt(*costs: BatchCost) -> Pace:
    pace = learn_pace(costs)
    assert pace is not None
    return pace


def test_without_history_nothing_is_learnt() -> None:
    assert learn_pace(()) is None


def test_a_cold_start_that_was_said_is_no_pace() -> None:
    warm, cold = learnt(cost(64)), learnt(cost(64, loading=20))
    assert cold == replace(warm, marginal_seconds=pytest.approx(warm.marginal_seconds))
    assert cold.seconds(64) == pytest.approx(4 + 64 * 0.031)


def test_loading_that_no_batch_is_spared_is_fixed() -> None:
    sizes = (1800, 1800, 512, 64, 64)
    each = learnt(*(cost(records, loading=20) for records in sizes))
    none = learnt(*(cost(records) for records in sizes))
    assert each.fixed_seconds == pytest.approx(none.fixed_seconds + 20, rel=0.01)
    assert each.sure_fixed_seconds == pytest.approx(none.sure_fixed_seconds + 20, rel=0.05)
    spared = (cost(1800, loading=20), cost(1800), *(cost(n, loading=20) for n in sizes))
    assert learnt(*spared).fixed_seconds < 6


def test_a_first_batch_that_does_not_say_it_was_cold_is_left_out() -> None:
    unsaid = replace(cost(64), infer_seconds=45.0)
    pace = learnt(cost(1800), cost(1750), cost(512), unsaid)
    assert pace.fixed_seconds == pytest.approx(4, rel=0.4)


def test_the_next_pictures_are_those_of_the_last_batches_or_larger() -> None:
    small, large = cost(1000, size=74_000), cost(1000, size=3_000_000)
    assert learnt(large, small, small, small).bytes_per_record == 3_000_000
    assert learnt(small, small, small, large, large).bytes_per_record == 74_000
    assert learnt(small, large).bytes_per_record == pytest.approx(1_537_000)


def test_markers_count_as_offsets() -> None:
    pace = learnt(*(cost(100, offsets=150), cost(50, offsets=150), cost(0, offsets=300)))
    assert pace.records_per_offset == 0.25
    assert pace.longest_offsets == 300


def test_markers_only_cost_what_is_fixed_and_tell_nothing_of_records() -> None:
    pace = learnt(cost(0, offsets=64))
    assert (pace.records_per_offset, pace.bytes_per_record, pace.marginal_seconds) == (0, 0, 0)
    assert pace.seconds(0) == pytest.approx(4)


def test_before_markers_only_records_are_remembered() -> None:
    markers = [cost(0, offsets=64)] * 3
    assert learnt(*markers, cost(64)).bytes_per_record == PICTURE


def test_one_slow_batch_changes_nothing_and_three_do() -> None:
    before = [cost(1800), cost(1790), cost(1810), cost(1700), cost(512), cost(64)]
    usual = learnt(*before).seconds(1800)
    slow = cost(1800, times=8)
    assert learnt(slow, *before).seconds(1800) == pytest.approx(usual, rel=0.05)
    changed = learnt(slow, slow, slow, *before)
    assert changed.seconds(1800) == pytest.approx(8 * usual, rel=0.05)


def test_empty_pictures_have_a_pace() -> None:
    pace = learnt(*(cost(records, size=0) for records in (1800, 512, 64, 64)))
    assert pace.marginal_seconds == pytest.approx(0.031, rel=0.1)


def test_under_a_long_backlog_an_old_short_batch_still_knows_what_is_fixed() -> None:
    alike = [cost(1800)] * 20
    short = [cost(512), cost(64), cost(64), cost(64)]
    assert learnt(*alike, *short, cost(64)).fixed_seconds == pytest.approx(4, rel=0.2)
    assert learnt(*alike, *short, cost(64)).sure_fixed_seconds > 3
    assert learnt(*alike).sure_fixed_seconds < 1


def test_a_short_batch_that_took_long_by_chance_does_not_say_how_long_the_last_ones_were() -> None:
    """The middle one by its time is that of 3,000 records; the tenfold one is shorter."""
    pace = learnt(cost(512, times=10), cost(3000), cost(64))
    assert pace.recent_seconds == pytest.approx(4 + 0.031 * 3000)
    assert pace.recent_offsets == 3000


def test_of_two_batches_the_shorter_one_says_what_the_last_ones_took() -> None:
    assert learnt(cost(512, times=10), cost(64)).recent_seconds == pytest.approx(4 + 0.031 * 64)


def test_after_eight_batches_of_one_size_the_next_is_a_little_shorter() -> None:
    assert learnt(*[cost(1800)] * 8).variation == SHORTENED
    assert learnt(*[cost(1800)] * 7).variation == 1
    assert learnt(*[cost(1800)] * 7, cost(1600)).variation == 1
    assert learnt(*[cost(8)] * 8).variation == 1


def test_the_ledger_tells_of_all_batches_that_are_remembered() -> None:
    assert KNOWN_BATCHES > REMEMBERED
