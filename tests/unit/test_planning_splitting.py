from __future__ import annotations

import pytest
from fixtures.planning import logs, planned

from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.planning.gaps import Gap, cut_at_end, cut_at_low, find_gaps, find_truncated
from frameferry.planning.splitting import split, split_at, total_offsets


def test_a_range_is_cut_in_the_middle() -> None:
    assert split([OffsetRange(0, 10, 15)]) == ((OffsetRange(0, 10, 12),), (OffsetRange(0, 12, 15),))


def test_only_the_range_in_the_middle_is_cut() -> None:
    ranges = [OffsetRange(0, 0, 4), OffsetRange(1, 0, 4), OffsetRange(2, 0, 4)]
    assert split(ranges) == (
        (OffsetRange(0, 0, 4), OffsetRange(1, 0, 2)),
        (OffsetRange(1, 2, 4), OffsetRange(2, 0, 4)),
    )


def test_ranges_that_already_halve_stay_whole() -> None:
    one, other = OffsetRange(0, 0, 1), OffsetRange(1, 7, 8)
    assert split([one, other]) == ((one,), (other,))


@pytest.mark.parametrize("ranges", [[], [OffsetRange(0, 41, 42)]])
def test_a_batch_of_one_offset_or_none_cannot_be_split(ranges: list[OffsetRange]) -> None:
    with pytest.raises(ValueError, match="cannot be split"):
        split(ranges)


def test_one_in_two_thousand_stands_alone_after_eleven_levels() -> None:
    ranges, levels = (OffsetRange(0, 0, 2000),), 0
    while total_offsets(ranges) > 1:
        first, second = split(ranges)
        ranges, levels = (first if 1234 in first[0] else second), levels + 1
    assert (ranges, levels) == ((OffsetRange(0, 1234, 1235),), 11)


def test_what_retention_took_before_it_was_planned_is_a_gap() -> None:
    gaps = find_gaps(planned(5, 5, 5), logs((5, 20), (9, 20), (0, 20)))
    assert gaps == (Gap(1, 5, 9),)
    assert str(gaps[0]) == "1:[5, 9) lost to retention"


def test_a_frozen_range_that_retention_overtook_is_cut_at_the_low_watermark() -> None:
    ranges = [OffsetRange(p, 10, 20) for p in range(4)]
    marks = {p: Watermarks(low, 99, 99) for p, low in enumerate((0, 15, 20, 50))}
    lost, left = cut_at_low([*ranges, OffsetRange(9, 0, 1)], marks)
    assert lost == (Gap(1, 10, 15), Gap(2, 10, 20), Gap(3, 10, 20))
    assert left == (OffsetRange(0, 10, 20), OffsetRange(1, 15, 20), OffsetRange(9, 0, 1))


def test_a_log_that_ends_below_the_planned_offset_was_truncated() -> None:
    marks = {0: Watermarks(0, 4, 5), 1: Watermarks(0, 4, 6), 2: Watermarks(0, 3, 4)}
    assert find_truncated(planned(5, 5, 5), marks) == (2,)


@pytest.mark.parametrize(
    ("place", "first", "second"),
    [
        ((0, 3), [OffsetRange(0, 0, 3)], [OffsetRange(0, 3, 4), OffsetRange(1, 5, 9)]),
        ((1, 5), [OffsetRange(0, 0, 4)], [OffsetRange(1, 5, 9)]),
        ((1, 8), [OffsetRange(0, 0, 4), OffsetRange(1, 5, 8)], [OffsetRange(1, 8, 9)]),
        # Nothing lies before the very first: it is left alone.
        ((0, 0), [OffsetRange(0, 0, 1)], [OffsetRange(0, 1, 4), OffsetRange(1, 5, 9)]),
    ],
)
def test_a_batch_is_cut_before_an_offset(
    place: tuple[int, int], first: list[OffsetRange], second: list[OffsetRange]
) -> None:
    ranges = [OffsetRange(0, 0, 4), OffsetRange(1, 5, 9)]
    assert split_at(ranges, *place) == (tuple(first), tuple(second))


@pytest.mark.parametrize("place", [(0, 4), (1, 0), (2, 0)])
def test_an_offset_of_no_range_cuts_nothing(place: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="not in the batch"):
        split_at([OffsetRange(0, 0, 4), OffsetRange(1, 5, 9)], *place)


def test_a_single_offset_is_not_cut() -> None:
    with pytest.raises(ValueError, match="cannot be split"):
        split_at([OffsetRange(0, 7, 8)], 0, 7)


@pytest.mark.parametrize(
    ("end", "lost", "left"),
    [
        (0, [Gap(0, 3, 9, "another log")], []),
        (5, [Gap(0, 5, 9, "another log")], [OffsetRange(0, 3, 5)]),
        (9, [], [OffsetRange(0, 3, 9)]),
        (50, [], [OffsetRange(0, 3, 9)]),
    ],
)
def test_a_range_whose_end_is_another_log_is_cut_there(
    end: int, lost: list[Gap], left: list[OffsetRange]
) -> None:
    ranges = [OffsetRange(0, 3, 9)]
    assert cut_at_end(ranges, {0: end}, cause="another log") == (tuple(lost), tuple(left))
    assert cut_at_end(ranges, {}, cause="another log") == ((), tuple(ranges))
