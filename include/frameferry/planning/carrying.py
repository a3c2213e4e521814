"""Cut what another system had planned as one batch into bounded ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from frameferry.domain.offsets import OffsetRange, Progress, Watermarks
from frameferry.planning.ranges import plan_ranges
from frameferry.planning.sizing import GROWTH, Budget, size_budget


def cut_carried(
    ranges: Sequence[OffsetRange], budget: Budget
) -> tuple[tuple[OffsetRange, ...], ...]:
    """
    Cut ranges into the batches that carry them, in the order in which they are to be planned.

    The first is as small as any first batch, since nobody knows yet what a record costs; each next
    one holds GROWTH times as many offsets, within max_records and max_bytes of the largest records.

    Args:
        ranges: At most one a partition.
        budget: What one batch may be.

    Returns:
        Batches that tile *ranges* exactly; none without ranges.
    """
    marks = {one.partition: Watermarks(one.start, one.end, one.end) for one in ranges}
    planned = {one.partition: one.start for one in ranges}
    batches: list[tuple[OffsetRange, ...]] = []
    while left := sum(marks[at].end - offset for at, offset in planned.items()):
        progress = {at: Progress(at, offset, offset) for at, offset in planned.items()}
        offsets = size_budget(budget, None, left).offsets
        batches.append(plan_ranges(progress, marks, budget_offsets=offsets))
        planned.update({one.partition: one.end for one in batches[-1]})
        budget = replace(budget, first_offsets=budget.first_offsets * GROWTH)
    return tuple(batches)
