"""Figures as a person reads them: thousands apart, shares of a bar, sums that may be unknown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from frameferry.domain.status import PartitionStatus

UNKNOWN = "\N{EN DASH}"


class Bar(NamedTuple):
    """How far a partition is, as percentages of its log. `committed <= planned`."""

    committed: float
    planned: float


def figure(value: int | None) -> str:
    """Write a number with its thousands apart; a dash if it is unknown."""
    return UNKNOWN if value is None else f"{value:,}"


def bar(partition: PartitionStatus) -> Bar | None:
    """
    Draw a partition from its oldest offset to its end; None while any of them is unknown.

    An empty log is a full bar: there is nothing left to do.
    """
    low, end = partition.low, partition.end
    planned, committed = partition.planned, partition.committed
    if low is None or end is None or planned is None or committed is None:
        return None
    start = min(low, committed)
    return Bar(share(committed - start, end - start), share(planned - start, end - start))


def share(part: int, whole: int) -> float:
    """Return *part* of *whole* in percent, between 0 and 100; 100 of nothing."""
    return 100.0 if whole <= 0 else round(min(max(100 * part / whole, 0), 100), 2)


def total(values: Iterable[int | None]) -> int | None:
    """Add up; None if there is nothing, or a part is unknown."""
    known = list(values)
    if not known or None in known:
        return None
    return sum(value for value in known if value is not None)
