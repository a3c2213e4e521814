"""The chain of finished ranges, link by link."""

from __future__ import annotations

import pytest

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.progress.chain import follow


@pytest.mark.parametrize(
    ("links", "end"),
    [
        ([], 5),
        ([(5, 8)], 8),
        ([(8, 9), (5, 8)], 9),
        ([(6, 8)], 5),
        ([(5, 8), (9, 12)], 8),
        ([(0, 5), (5, 6)], 6),
    ],
)
def test_the_chain_ends_at_the_first_hole(links: list[tuple[int, int]], end: int) -> None:
    assert follow({0: 5}, [OffsetRange(0, *link) for link in links]) == {0: end}


def test_partitions_have_a_chain_each() -> None:
    links = [OffsetRange(1, 0, 3), OffsetRange(0, 0, 2), OffsetRange(2, 0, 9)]
    assert follow({0: 0, 1: 3}, links) == {0: 2, 1: 3}
