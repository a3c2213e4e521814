"""Which stretches of a batch stand, and which must be judged again. Pure."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from frameferry.domain.offsets import OffsetRange

Ranges = tuple[OffsetRange, ...]


def tile(
    ranges: Sequence[OffsetRange],
    sure: Mapping[int, Sequence[int]],
    doubtful: Mapping[int, Sequence[int]],
) -> tuple[list[Ranges], list[Ranges]]:
    """
    Cut a batch into pieces whose rows stand, and pieces that are judged again.

    Together they tile it. Each holds at most one stretch of each of the batch's ranges. An
    offset without a row goes with the row before it, the first ones with the row behind them; a
    range without any row is judged again.

    Args:
        ranges: The batch's.
        sure: Ascending offsets of the rows that stand, by partition.
        doubtful: Ascending offsets of the others.
    """
    stretches = [list(_stretches(one, sure, doubtful)) for one in ranges]
    pieces = [
        zip_longest(*([span for span, stands in found if stands is kind] for found in stretches))
        for kind in (True, False)
    ]
    whole, again = (
        [tuple(span for span in piece if span is not None) for piece in kind] for kind in pieces
    )
    return whole, again


def _stretches(
    one: OffsetRange, sure: Mapping[int, Sequence[int]], doubtful: Mapping[int, Sequence[int]]
) -> Iterable[tuple[OffsetRange, bool]]:
    """Cut a range where rows that stand meet rows that do not; say of each stretch which it is."""
    rows = sorted(
        [(offset, True) for offset in _within(one, sure)]
        + [(offset, False) for offset in _within(one, doubtful)]
    )
    start, stands = one.start, rows[0][1] if rows else False
    for offset, is_sure in rows:
        if is_sure is not stands:
            yield OffsetRange(one.partition, start, offset), stands
            start, stands = offset, is_sure
    yield OffsetRange(one.partition, start, one.end), stands


def _within(one: OffsetRange, offsets: Mapping[int, Sequence[int]]) -> Sequence[int]:
    mine = offsets.get(one.partition, ())
    return mine[bisect_left(mine, one.start) : bisect_left(mine, one.end)]
