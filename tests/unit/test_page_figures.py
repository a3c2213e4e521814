from __future__ import annotations

import pytest

from frameferry.domain.status import PartitionStatus
from frameferry.page.figures import UNKNOWN, Bar, bar, figure, share, total


def partition(
    low: int | None, committed: int | None, planned: int | None, end: int | None
) -> PartitionStatus:
    return PartitionStatus(0, low, end, planned, committed, None, None, None)


@pytest.mark.parametrize(("value", "text"), [(None, UNKNOWN), (0, "0"), (1234567, "1,234,567")])
def test_figures_have_their_thousands_apart(value: int | None, text: str) -> None:
    assert text == figure(value)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (partition(0, 25, 50, 100), Bar(25, 50)),
        (partition(1000, 1000, 1000, 1000), Bar(100, 100)),
        (partition(50, 0, 60, 100), Bar(0, 60)),
        (partition(0, 5, 5, 3), Bar(100, 100)),
        (partition(None, 1, 1, None), None),
        (partition(0, None, None, 9), None),
    ],
)
def test_a_bar_runs_from_the_oldest_offset_to_the_end(
    row: PartitionStatus, expected: Bar | None
) -> None:
    assert expected == bar(row)


@pytest.mark.parametrize(
    ("part", "whole", "expected"), [(1, 3, 33.33), (5, 0, 100), (-1, 2, 0), (9, 2, 100)]
)
def test_a_share_is_a_percentage(part: int, whole: int, expected: float) -> None:
    assert expected == share(part, whole)


@pytest.mark.parametrize(("values", "expected"), [([1, 2], 3), ([1, None], None), ([], None)])
def test_a_sum_with_an_unknown_part_is_unknown(
    values: list[int | None], expected: int | None
) -> None:
    assert expected == total(values)
