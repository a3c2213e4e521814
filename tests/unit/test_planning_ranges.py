from __future__ import annotations

from fixtures.planning import logs, planned

from frameferry.domain.offsets import OffsetRange, Progress, Watermarks
from frameferry.planning.ranges import partition_lags, plan_ranges


def test_all_is_taken_where_the_budget_is_larger_than_the_lag() -> None:
    ranges = plan_ranges(planned(5, 0), logs((0, 10), (0, 3)), budget_offsets=100)
    assert ranges == (OffsetRange(0, 5, 10), OffsetRange(1, 0, 3))


def test_a_short_backlog_is_taken_whole_and_the_long_ones_share_the_rest() -> None:
    ranges = plan_ranges(planned(0, 0, 0), logs((0, 1000), (0, 10), (0, 500)), budget_offsets=100)
    assert [wanted.length for wanted in ranges] == [45, 10, 45]


def test_an_odd_rest_goes_to_the_longest_backlog() -> None:
    ranges = plan_ranges(planned(0, 0), logs((0, 1000), (0, 900)), budget_offsets=5)
    assert [wanted.length for wanted in ranges] == [3, 2]


def test_nothing_is_planned_beyond_the_last_stable_offset() -> None:
    marks = {0: Watermarks(low=0, end=4, high=9)}
    assert plan_ranges(planned(2), marks, budget_offsets=100) == (OffsetRange(0, 2, 4),)


def test_nothing_is_planned_without_lag_or_budget() -> None:
    assert plan_ranges(planned(10), logs((0, 10)), budget_offsets=100) == ()
    assert plan_ranges(planned(0), logs((0, 10)), budget_offsets=0) == ()
    assert plan_ranges(planned(0), logs((0, 10)), budget_offsets=-1) == ()
    assert plan_ranges({}, {}, budget_offsets=100) == ()


def test_a_partition_below_its_low_watermark_waits_for_its_gap_and_the_others_go_on() -> None:
    ranges = plan_ranges(planned(5, 0), logs((8, 20), (0, 3)), budget_offsets=100)
    assert ranges == (OffsetRange(1, 0, 3),)


def test_a_partition_whose_log_ends_below_its_planned_offset_has_no_lag() -> None:
    assert partition_lags(planned(20), logs((0, 10))) == {}


def test_a_partition_without_watermarks_is_left_out() -> None:
    assert plan_ranges(planned(0, 0), logs((0, 3)), budget_offsets=9) == (OffsetRange(0, 0, 3),)


def test_a_budget_below_the_number_of_partitions_goes_round() -> None:
    progress, marks = planned(0, 0, 0), logs((0, 9), (0, 9), (0, 9))
    served = []
    for _ in range(3):
        (one,) = plan_ranges(progress, marks, budget_offsets=1)
        served.append(one.partition)
        progress[one.partition] = Progress(one.partition, one.end, 0)
    assert sorted(served) == [0, 1, 2]


def test_the_same_question_has_the_same_answer() -> None:
    asked = [plan_ranges(planned(7, 1, 3), logs(*[(0, 50)] * 3), budget_offsets=2) for _ in "12"]
    assert asked[0] == asked[1]
