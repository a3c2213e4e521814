"""The controller: how many offsets the next batch may hold, and why, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from frameferry.domain.wording import counted, in_bytes, in_time
from frameferry.planning.pace import Pace

FIRST_OFFSETS: Final = 64
GROWTH: Final = 8
"""
A batch is at most this many times as long as the longest of the last: what small ones taught may
mislead, and memory and servers were not tried with more.

But this never holds it below a first batch, of which nothing is known: otherwise a backlog after a
trickle of single pictures would begin with a few.
"""
UNSEEN_GROWTH: Final = 2
"""The same if the last ones held no record: no picture's cost was seen."""
FIXED_SHARE: Final = 0.1
"""The largest share of a batch's time that its fixed cost may be, while there is backlog."""
_AIMED_SHARE: Final = 0.9 * FIXED_SHARE
"""The share that is aimed at: what is sure of a fixed cost is a little less than all of it."""
PROLONGATION: Final = 2
"""For that share a batch may pass the target, up to this many times the last ones' seconds."""
_UNBOUNDED: Final = 2**62


@dataclass(frozen=True, slots=True)
class Budget:
    """
    What one batch may be.

    `largest_record_bytes` is the topic's limit on a record (`max.message.bytes`), None if unknown.
    It bounds the bytes of a first batch, of which nothing is learnt yet.
    """

    max_records: int
    max_bytes: int
    target_seconds: float
    first_offsets: int = FIRST_OFFSETS
    largest_record_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Sizing:
    """The controller's decision: a budget in offsets, and the sentence that explains it."""

    offsets: int
    sentence: str


def size_budget(budget: Budget, pace: Pace | None, lag: int) -> Sizing:
    """
    Choose how many offsets the next batch may hold.

    Seconds and bytes are budgeted by what was learnt from the last batches, records by offsets
    outright: all of the next offsets may be records, however few of the last were. It is at least
    one offset while there is lag: a single record may be larger than any budget.

    Args:
        budget: The bounds.
        pace: What the last batches cost; None without history.
        lag: Offsets to plan, over all partitions.
    """
    if lag <= 0:
        return Sizing(0, "nothing to plan: lag 0")
    limits = _first_limits(budget) if pace is None else _learnt_limits(budget, pace)
    limits["all there is"] = lag
    limit = min(limits, key=lambda name: limits[name])
    offsets = max(limits[limit], 1)
    if pace is None:
        return Sizing(offsets, _first_sentence(offsets, lag, limit))
    return Sizing(offsets, _learnt_sentence(offsets, lag, limit, budget, pace))


def records_per_second(budget: Budget, pace: Pace) -> float:
    """Return the records a second that batches of full size carry, without a pause in between."""
    most = min(_timely_records(budget, pace), budget.max_records)
    records = max(min(most, _most(budget.max_bytes, pace.bytes_per_record)), 1)
    return records / pace.seconds(records)


def _first_limits(budget: Budget) -> dict[str, int]:
    return {
        "": budget.first_offsets,
        "max_records": budget.max_records,
        "max_bytes of the largest records": _most(
            budget.max_bytes, budget.largest_record_bytes or 0
        ),
    }


def _learnt_limits(budget: Budget, pace: Pace) -> dict[str, int]:
    """Bound the offsets; the empty name is the target itself, which needs no explanation."""
    share = pace.records_per_offset
    unlearnt = min(_first_limits(budget).values())
    growth = GROWTH if share else UNSEEN_GROWTH
    times = "twice" if growth == UNSEEN_GROWTH else f"{growth} times"
    is_prolonged = _lasting_seconds(pace) > budget.target_seconds
    timely = "so that a tenth is fixed" if is_prolonged else ""
    return {
        timely: _most(_timely_records(budget, pace), share),
        "max_bytes": _most(budget.max_bytes, pace.bytes_per_record * share),
        "max_records": budget.max_records,
        f"{times} the longest of the last": max(growth * pace.longest_offsets, unlearnt),
        "as the last, which took long enough": _proven(budget, pace),
    }


def _proven(budget: Budget, pace: Pace) -> int:
    """
    Limit a batch to the length of the last if these took all the time, whatever is estimated.

    The limit is twice as long if their fixed cost asks for more.
    """
    if pace.recent_seconds < budget.target_seconds:
        return _UNBOUNDED
    asks = _lasting_seconds(pace) > pace.recent_seconds
    return pace.recent_offsets * (PROLONGATION if asks else 1)


def _timely_records(budget: Budget, pace: Pace) -> int:
    """
    Choose the records that take as long as a batch should.

    At most half of that is to be fixed, as far as one can tell. A batch costs its fixed time
    whatever it holds: cutting it small for that would only make matters worse.
    """
    seconds = max(budget.target_seconds, _lasting_seconds(pace))
    varied = pace.variation * max(seconds - pace.fixed_seconds, pace.fixed_seconds)
    return _most(varied, pace.marginal_seconds)


def _lasting_seconds(pace: Pace) -> float:
    """Return the seconds that a batch has to take for its fixed cost, as far as that is sure."""
    return min(pace.sure_fixed_seconds / _AIMED_SHARE, PROLONGATION * pace.recent_seconds)


def _most(budget: float, cost: float) -> int:
    """Divide, but no further than whole offsets and sane numbers go: a cost may be 0 or tiny."""
    return int(budget / cost) if cost * _UNBOUNDED > budget else _UNBOUNDED


def _first_sentence(offsets: int, lag: int, limit: str) -> str:
    why = f" ({limit})" if limit else ""
    return (
        f"up to {counted(offsets, 'record')}{why}: "
        f"a first batch, whose cost nobody knows yet; lag {lag:,}"
    )


def _learnt_sentence(offsets: int, lag: int, limit: str, budget: Budget, pace: Pace) -> str:
    why = f", {limit}" if limit else ""
    records = round(offsets * pace.records_per_offset)
    if not records:
        return (
            f"{counted(offsets, 'offset')}{why}, hardly a record among the last ones; lag {lag:,}"
        )
    behind = round(lag * pace.records_per_offset)
    left = in_time(behind / records_per_second(budget, pace))
    caught_up = "with this batch" if offsets >= lag else f"in {left} at today's rate"
    return (
        f"{counted(records, 'record')} (about {in_bytes(records * pace.bytes_per_record)}{why}): "
        f"{in_time(pace.seconds(records))} = {in_time(pace.fixed_seconds)} fixed + "
        f"{in_time(pace.marginal_seconds)} a record; lag {behind:,}, caught up {caught_up}"
    )
