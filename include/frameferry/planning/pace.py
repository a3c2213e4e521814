"""What batches cost: learnt from those that were delivered, foretold of those that come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final

from frameferry.domain.batch import BatchCost
from frameferry.planning.fitting import Line, Sample, fit_line

NEWEST: Final = 16
"""From so many batches the pace is learnt, the newest ones."""
SHORTEST: Final = 4
REMEMBERED: Final = 120
"""
And from the shortest of the older ones: among batches of one size they alone know what is fixed.
"""
RECENT: Final = 3
"""Of so many are the next batch's pictures believed to be: their size may change at any time."""
ALWAYS: Final = 5
"""Where so many in succession had to load, the next one will."""
_CHANGED: Final = 0.5
_STRAYED: Final = 3
"""
The machine changed, so many batches ago, where all since missed what those before foretell, in one
direction, by more than this logarithm (a factor of 1.65). Less than three are outliers.
"""
_ALIKE: Final = 8
_TELLING: Final = 1.1
"""So many batches in succession whose lengths differ by less than this tell nothing more."""
_WHOLE: Final = 16
"""With fewer offsets than this a batch is not shortened: one more or less is much already."""
SHORTENED: Final = 0.88
"""So long is the next one then: still right, and enough to tell what is fixed."""
_COLD: Final = 2
"""With more batches than this a first one that says of no loading is left out: it may be cold."""


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What a batch costs: fixed, whatever it holds, and marginal, for each record.

    `sure_fixed_seconds` is what of the fixed cost is beyond doubt. `records_per_offset` is at most
    1, less where transaction markers take offsets; `longest_offsets` the longest of the newest,
    `recent_seconds` the middle of what the last ones took, and `recent_offsets` the longest of
    those that took it. `variation` is what part of the right size the next batch is to have,
    so that it tells what is fixed: 1 where the last ones tell.
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
        """Foretell a batch of so many records, of workers that are as warm as they usually are."""
        return self.fixed_seconds + self.marginal_seconds * records


def learn_pace(costs: Sequence[BatchCost]) -> Pace | None:
    """Learn from what delivered batches cost, newest first; None where there are none."""
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
    """Take the middle of what the last ones took; of two the shorter: the other may be odd."""
    return median_low(cost.warm_seconds for cost in recent)


def _long_offsets(recent: Sequence[BatchCost]) -> int:
    """
    Say how long those of the last were that took as long as the middle one, or longer.

    The longest of them: one that is shorter and took as long was slow by chance.
    """
    middle = _middle_seconds(recent)
    return max(cost.offsets for cost in recent if cost.warm_seconds >= middle)


def _variation(newest: Sequence[BatchCost]) -> float:
    """
    Say by how much the next batch is to be shorter than right: by a little where all are alike.

    Among batches of one size nobody can tell what is fixed, and so it would stay for ever.
    """
    alike = [cost.offsets for cost in newest[:_ALIKE]]
    is_telling = max(alike) > _TELLING * min(alike) or min(alike) < _WHOLE
    return 1.0 if len(alike) < _ALIKE or is_telling else SHORTENED


def _size(recent: Sequence[BatchCost]) -> float:
    """Reckon a picture's bytes: of the last batches, or of the very last if its are larger."""
    means = (
        sum(cost.size_bytes for cost in some) / max(sum(cost.records for cost in some), 1)
        for some in (recent, recent[:1])
    )
    return max(means)


def _usual_loading(costs: Sequence[BatchCost]) -> float:
    """Reckon what each batch spends on loading: nothing, unless none of the last was spared it."""
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
    Find how many batches ago the machine changed for good; None where it did not.

    The first ones after a change stray from any line, being of a size that was meant for before.
    """
    for since in (place + 1 for place in reversed(strayed)):
        if not _STRAYED <= since <= len(known) - _STRAYED:
            continue
        before = fit_line(_telling(known[since:]), most_fixed_seconds=shortest)
        misses = [before.miss(sample) for sample in known[:since]]
        if min(misses) > _CHANGED or max(misses) < -_CHANGED:
            return since
    return None
