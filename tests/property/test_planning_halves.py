from __future__ import annotations

from itertools import chain
from math import ceil, log2
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.planning.gaps import cut_at_low
from frameferry.planning.splitting import split, total_offsets

RANGES = st.lists(
    st.tuples(st.integers(0, 10**12), st.integers(1, 40)), min_size=1, max_size=64
).map(lambda drawn: tuple(OffsetRange(p, s, s + n) for p, (s, n) in enumerate(drawn)))


def offsets(ranges: tuple[OffsetRange, ...]) -> list[tuple[int, int]]:
    return [(r.partition, o) for r in ranges for o in range(r.start, r.end)]


@given(RANGES)
def test_halves_tile_the_batch(ranges: tuple[OffsetRange, ...]) -> None:
    if total_offsets(ranges) > 1:
        first, second = split(ranges)
        assert [*offsets(first), *offsets(second)] == offsets(ranges)
        assert 0 <= total_offsets(second) - total_offsets(first) <= 1


@given(RANGES, st.randoms(use_true_random=False))
def test_any_record_stands_alone_after_log2_levels(
    ranges: tuple[OffsetRange, ...], random: Random
) -> None:
    partition, guilty = random.choice(offsets(ranges))
    levels = ceil(log2(total_offsets(ranges))) if total_offsets(ranges) > 1 else 0
    for _ in range(levels):
        halves = split(ranges) if total_offsets(ranges) > 1 else (ranges, ())
        (ranges,) = [half for half in halves if (partition, guilty) in offsets(half)]
    assert ranges == (OffsetRange(partition, guilty, guilty + 1),)


@given(RANGES, st.randoms(use_true_random=False))
def test_gaps_and_what_is_left_tile_the_batch(
    ranges: tuple[OffsetRange, ...], random: Random
) -> None:
    lows = {r.partition: r.start + random.randint(-5, 45) for r in ranges if random.random() < 0.9}
    marks = {p: Watermarks(max(low, 0), 2 * 10**12, 2 * 10**12) for p, low in lows.items()}
    lost, left = cut_at_low(ranges, marks)
    pieces = [(gap.partition, o) for gap in lost for o in range(gap.start, gap.end)]
    assert sorted(chain(pieces, offsets(left))) == offsets(ranges)
    assert all(o < marks[p].low for p, o in pieces)
    assert all(p not in marks or o >= marks[p].low for p, o in offsets(left))
