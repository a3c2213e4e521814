"""The controller: how many offsets the next batch may hold, and why, in one sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from frameferry.domain.batch import StageRates
from frameferry.planning.wording import counted, in_bytes, in_time

FIRST_OFFSETS: Final = 64
GROWTH: Final = 2
"""
A batch is at most this many times as long as the last one: rates learnt small may mislead.

But never held below what would be dared knowing nothing: after a trickle of single pictures a
backlog would else begin with two.
"""
_UNBOUNDED: Final = 2**62


@dataclass(frozen=True, slots=True)
class Budget:
    """
    What one batch may be.

    `largest_record_bytes` is what the topic lets a record be (`max.message.bytes`), None where
    unknown: it bounds the bytes of a first batch, of which nothing is learnt yet.
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


def size_budget(budget: Budget, rates: StageRates | None, lag: int) -> Sizing:
    """
    Choose how many offsets the next batch may hold.

    Seconds and bytes are budgeted by the means learnt from the last batches, records by offsets
    outright: however few of the last offsets were records, all of the next may be. At least one
    offset while there is lag: a single record may be larger than any budget.

    Args:
        budget: The bounds.
        rates: What the last batches cost; None without history.
        lag: Offsets to plan, over all partitions.
    """
    if lag <= 0:
        return Sizing(0, "nothing to plan: lag 0")
    limits = _first_limits(budget) if rates is None else _learnt_limits(budget, rates)
    limits["all there is"] = lag
    limit = min(limits, key=lambda name: limits[name])
    offsets = max(limits[limit], 1)
    if rates is None:
        return Sizing(offsets, _first_sentence(offsets, lag, limit))
    return Sizing(offsets, _learnt_sentence(offsets, lag, limit, rates))


def _first_limits(budget: Budget) -> dict[str, int]:
    return {
        "": budget.first_offsets,
        "max_records": budget.max_records,
        "max_bytes of the largest records": _most(
            budget.max_bytes, budget.largest_record_bytes or 0
        ),
    }


def _learnt_limits(budget: Budget, rates: StageRates) -> dict[str, int]:
    """Bound the offsets; the empty name is the target itself, which needs no explanation."""
    unlearnt = min(_first_limits(budget).values())
    share = rates.records_per_offset
    timely = _most(budget.target_seconds, _seconds_per_record(rates) * share)
    return {
        # A batch costs seconds of its own, whatever it holds: cutting small ones smaller for
        # their pace would make the pace worse, and the next one smaller still.
        "": max(timely, budget.first_offsets),
        "max_bytes": _most(budget.max_bytes, rates.bytes_per_record * share),
        "max_records": budget.max_records,
        "twice the last batch": max(GROWTH * rates.last_offsets, unlearnt),
    }


def _most(budget: float, cost: float) -> int:
    """Divide, but no further than whole offsets and sane numbers go: a cost may be 0 or tiny."""
    return int(budget / cost) if cost * _UNBOUNDED > budget else _UNBOUNDED


def _seconds_per_record(rates: StageRates) -> float:
    return rates.infer_seconds_per_record + rates.deliver_seconds_per_record


def _first_sentence(offsets: int, lag: int, limit: str) -> str:
    why = f" ({limit})" if limit else ""
    return (
        f"up to {counted(offsets, 'record')}{why}: "
        f"a first batch, whose cost nobody knows yet; lag {lag:,}"
    )


def _learnt_sentence(offsets: int, lag: int, limit: str, rates: StageRates) -> str:
    why = f", {limit}" if limit else ""
    records = round(offsets * rates.records_per_offset)
    if not records:
        return (
            f"{counted(offsets, 'offset')}{why}, hardly a record among the last ones; lag {lag:,}"
        )
    seconds = _seconds_per_record(rates)
    behind = round(lag * rates.records_per_offset)
    caught_up = (
        "with this batch" if offsets >= lag else f"in {in_time(behind * seconds)} at today's rate"
    )
    return (
        f"{counted(records, 'record')} (about {in_bytes(records * rates.bytes_per_record)}{why}): "
        f"{in_time(records * seconds)} at {in_time(seconds)} a record; "
        f"lag {behind:,}, caught up {caught_up}"
    )
