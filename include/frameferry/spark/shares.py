"""A job's ranges, cut into the shares of its tasks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from frameferry.domain.offsets import OffsetRange

Share = tuple[OffsetRange, ...]

TASKS_PER_CORE = 3
TASK_SECONDS = 4.0
"""A longer task makes other jobs wait for a core."""
FEWEST_OFFSETS = 8
"""With fewer, starting a task costs more than it gains."""
_UNKNOWN_PACE_OFFSETS = 64


def shares(
    ranges: Sequence[OffsetRange], *, cores: int, seconds_per_offset: float | None = None
) -> tuple[Share, ...]:
    """
    Cut ranges into shares that tile them, in their order.

    Every core gets several shares, so that one with large pictures does not hold up the others. No
    share takes much longer than TASK_SECONDS, so that jobs of other pipelines get their turn. If
    possible, each has at least FEWEST_OFFSETS. Lengths differ by at most one offset.

    Args:
        ranges: What to read; no offset lies in two of them.
        cores: How many tasks run at once.
        seconds_per_offset: What the last batches took, all cores together; None if unknown.
    """
    total = sum(wanted.length for wanted in ranges)
    spread = min(TASKS_PER_CORE * cores, total // FEWEST_OFFSETS)
    count = max(spread, -(-total // _longest(cores, seconds_per_offset)), 1)
    ends = [total * (number + 1) // count for number in range(count)]
    return tuple(_between(ranges, start, end) for start, end in zip([0, *ends], ends, strict=False))


def _longest(cores: int, seconds_per_offset: float | None) -> int:
    """Say how many offsets one core judges in TASK_SECONDS."""
    if not seconds_per_offset:
        return _UNKNOWN_PACE_OFFSETS
    return max(int(TASK_SECONDS / (cores * seconds_per_offset)), FEWEST_OFFSETS)


def _between(ranges: Sequence[OffsetRange], start: int, end: int) -> Share:
    """Cut out the offsets from number *start* to *end*, exclusive, counted over all ranges."""
    share, passed = [], 0
    for wanted in ranges:
        first, last = max(start - passed, 0), min(end - passed, wanted.length)
        if first < last:
            share.append(OffsetRange(wanted.partition, wanted.start + first, wanted.start + last))
        passed += wanted.length
    return tuple(share)
