"""Halves of a batch that could not be judged."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from frameferry.domain.offsets import OffsetRange

Ranges = tuple[OffsetRange, ...]


def split(ranges: Sequence[OffsetRange]) -> tuple[Ranges, Ranges]:
    """
    Cut a batch into two halves that tile it.

    Both keep the order of *ranges*; their lengths differ by at most one offset, the second is
    the longer one. At most one range is cut in two. So n offsets stand alone after at most
    `ceil(log2(n))` levels.

    Raises:
        ValueError: A batch of one offset cannot be split.
    """
    total = total_offsets(ranges)
    if total <= 1:
        msg = f"a batch of {total} offsets cannot be split"
        raise ValueError(msg)
    return _before(ranges, total // 2), _after(ranges, total // 2)


def split_at(ranges: Sequence[OffsetRange], partition: int, offset: int) -> tuple[Ranges, Ranges]:
    """
    Cut a batch before one of its offsets, in the order of *ranges*; the halves tile it.

    If that leaves nothing before it, the cut is after the offset.

    Raises:
        ValueError: The offset is not one of the batch's, or it is its only one.
    """
    before = 0
    for one in ranges:
        if one.partition == partition and offset in one:
            count = max(before + offset - one.start, 1)
            break
        before += one.length
    else:
        msg = f"offset {partition}:{offset} is not in the batch"
        raise ValueError(msg)
    if count >= total_offsets(ranges):
        msg = "a batch of 1 offset cannot be split"
        raise ValueError(msg)
    return _before(ranges, count), _after(ranges, count)


def total_offsets(ranges: Iterable[OffsetRange]) -> int:
    """Add up the lengths: offsets, not records."""
    return sum(one.length for one in ranges)


def _before(ranges: Sequence[OffsetRange], count: int) -> Ranges:
    kept = []
    for one in ranges:
        if count <= 0:
            break
        kept.append(OffsetRange(one.partition, one.start, min(one.end, one.start + count)))
        count -= one.length
    return tuple(kept)


def _after(ranges: Sequence[OffsetRange], count: int) -> Ranges:
    kept = []
    for one in ranges:
        if count < one.length:
            kept.append(OffsetRange(one.partition, one.start + max(count, 0), one.end))
        count -= one.length
    return tuple(kept)
