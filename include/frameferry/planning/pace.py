"""What batches cost: learnt from those that were delivered, estimated for those that come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from frameferry.domain.batch import BatchCost
from frameferry.planning.fitting import Line, Sample, fit_line

NEWEST: Final = 16
"""How many of the newest batches the pace is learnt from."""
SHORTEST: Final = 4
REMEMBERED: Final = 120
"""
How many of the shortest older batches it is learnt from as well, and how far back: among batches of
one size they alone tell what is fixed.
"""
RECENT: Final = 3
"""How many batches the next pictures' size is taken from: it may change at any time."""
ALWAYS: Final = 5
"""If this many in succession had to load, the next one will."""
_CHANGED: Final = 0.5
_STRAYED: Final = 3
"""
The machine has changed if all batches since then missed the estimate of those before, in one
direction, by more than this logarithm (a factor of 1.65). Fewer than three are outliers.
"""
_ALIKE: Final = 8
_TELLING: Final = 1.1
"""If this many batches in succession differ in length by less than this, they tell nothing more."""
_WHOLE: Final = 16
"""A batch with fewer offsets is not shortened: one more or less is already much."""
SHORTENED: Final = 0.88
"""The next one's share of the right length then: still right, and enough to tell what is fixed."""
_COLD: Final = 2
"""With more batches than this, a first one that tells of no loading is left out: it may be cold."""


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What a batch costs: fixed, whatever it holds, and marginal, for each record.

    `sure_fixed_seconds` is the part of the fixed cost that is beyond doubt. `records_per_offset` is
    at most 1, less if transaction markers take offsets. `longest_offsets` is the longest of the
    newest, `recent_seconds` the middle of what the last ones took, and `recent_offsets` the longest
    of those that took at least that. `variation` is the share of the right size that the next batch
    is to have, so that it tells what is fixed: 1 if the last ones tell.
    """

    fixed_seconds: float
    sure_fixed_seconds: float
    marginal_seconds: float
    bytes_per_record: float
    records_per_offset: float
    longest_offsets: int
    recent_seconds: float
    recent_offsets: int
    variation: float = 1.0

    def seconds(self, records: float) -> float:
        """Estimate the seconds of a batch of this many records, with workers as warm as usual."""
        return self.fixed_seconds + self.marginal_seconds * records


def learn_pace(costs: Sequence[BatchCost]) -> Pace | None:
    """Learn from what delivered batches cost, newest first; None if there are none."""
    if not costs:
        return None
    line = _line(costs)
    recent = costs[:RECENT] if any(cost.records for cost in costs[:RECENT]) else costs
    records = sum(cost.records for cost in recent)
    size = _size(recent) if records else 0.0
    loading = _usual_loading(costs)
    return Pace(
        fixed_seconds=line.fixed_seconds + loading,
        sure_fixed_seconds=line.sure_fixed_seconds + loading,
        marginal_seconds=line.seconds_per_record + line.seconds_per_byte * size,
        bytes_per_record=size,
        records_per_offset=records / sum(cost.offsets for cost in recent),
        longest_offsets=max(cost.offsets for cost in costs[:RECENT]),
        recent_seconds=_middle_seconds(costs[:RECENT]) + loading,
        recent_offsets=_long_offsets(costs[:RECENT]),
        variation=_variation(costs[:NEWEST]),
    )


def _middle_seconds(recent: Sequence[BatchCost]) -> float:
    """Take the middle of what the last ones took; of two, the shorter: the other may be odd."""
    return median_low(cost.warm_seconds for cost in recent)


def _long_offsets(recent: Sequence[BatchCost]) -> int:
    """
    Return the offsets of the longest of the last that took at least as long as the middle one.

    One that is shorter and took as long was slow by chance.
    """
    middle = _middle_seconds(recent)
    return max(cost.offsets for cost in recent if cost.warm_seconds >= middle)


def _variation(newest: Sequence[BatchCost]) -> float:
    """
    Return the next batch's share of the right size: a little less than 1 if all are alike.

    Batches of one size cannot tell what is fixed, and it would stay so for ever.
    """
    alike = [cost.offsets for cost in newest[:_ALIKE]]
    is_telling = max(alike) > _TELLING * min(alike) or min(alike) < _WHOLE
    return 1.0 if len(alike) < _ALIKE or is_telling else SHORTENED


def _size(recent: Sequence[BatchCost]) -> float:
    """Return a picture's mean bytes: of the last batches, or of the very last if that is more."""
    means = (
        sum(cost.size_bytes for cost in some) / max(sum(cost.records for cost in some), 1)
        for some in (recent, recent[:1])
    )
    return max(means)


def _usual_loading(costs: Sequence[BatchCost]) -> float:
    """Return the seconds each batch spends on loading: 0, unless all of the last had to load."""
    if len(costs) < ALWAYS:
        return 0.0
    return min(cost.loading_seconds for cost in costs[:ALWAYS])


def _line(costs: Sequence[BatchCost]) -> Line:
    shortest = min(cost.warm_seconds for cost in costs)
    may_be_cold = len(costs) > _COLD and not costs[-1].loading_seconds
    known = [
        Sample(cost.records, cost.size_bytes, cost.warm_seconds)
        for cost in (costs[:-1] if may_be_cold else costs)
    ]
    line = fit_line(_telling(known), most_fixed_seconds=shortest)
    strayed = [
        place
        for place, sample in enumerate(known[:REMEMBERED])
        if abs(line.miss(sample)) > _CHANGED
    ]
    since = _since_change(known, strayed, shortest) if len(strayed) >= _STRAYED else None
    return line if since is None else fit_line(known[:since], most_fixed_seconds=shortest)


def _telling(known: Sequence[Sample]) -> list[Sample]:
    older = sorted(known[NEWEST:REMEMBERED], key=lambda sample: sample.seconds)
    return [*known[:NEWEST], *older[:SHORTEST]]


def _since_change(known: Sequence[Sample], strayed: Sequence[int], shortest: float) -> int | None:
    """
    Find how many batches ago the machine changed for good; None if it did not.

    The first ones after a change stray from any line: their size was chosen for the time before.
    """
    for since in (place + 1 for place in reversed(strayed)):
        if not _STRAYED <= since <= len(known) - _STRAYED:
            continue
        before = fit_line(_telling(known[since:]), most_fixed_seconds=shortest)
        misses = [before.miss(sample) for sample in known[:since]]
        if min(misses) > _CHANGED or max(misses) < -_CHANGED:
            return since
    return None
