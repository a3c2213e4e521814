"""What a person selects to be run again, as a value."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, TypeVar

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError

ValueT = TypeVar("ValueT", str, int, list[Any])
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_RANGE: Final = re.compile(r"([0-9]+):([0-9]+)-([0-9]+)")
_RECORD: Final = re.compile(r"([0-9]+):([0-9]+)")
_LARGEST: Final = 2**63 - 1
"""The largest offset; also the largest number that the ledger can be asked for."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """
    Offset ranges of any partitions: at least one, sorted, no offset twice.

    Raises:
        ConfigError: There is none, or two of them overlap.
    """

    ranges: tuple[OffsetRange, ...]

    def __post_init__(self) -> None:
        if not self.ranges:
            msg = "a selection of offset ranges needs at least one"
            raise ConfigError(msg, remedy="Give one as partition:from-to, for instance 0:120-480")
        object.__setattr__(self, "ranges", tuple(sorted(self.ranges)))
        for first, second in pairwise(self.ranges):
            if first.overlaps(second):
                msg = f"the ranges {first} and {second} overlap"
                raise ConfigError(msg, remedy="Name each offset once")

    def __str__(self) -> str:
        return ", ".join(map(str, self.ranges))


@dataclass(frozen=True, slots=True)
class Window:
    """
    Records by their own timestamps, `[start_ms, end_ms)` in milliseconds since 1970.

    Raises:
        ConfigError: It ends before it begins.
    """

    start_ms: int
    end_ms: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_ms < self.end_ms:
            msg = f"no window: it begins at {iso(self.start_ms)} and ends at {iso(self.end_ms)}"
            raise ConfigError(msg, remedy="Let it end after it begins; its end is exclusive")

    def __str__(self) -> str:
        return f"records of {iso(self.start_ms)} until {iso(self.end_ms)} (exclusive)"


@dataclass(frozen=True, slots=True)
class OfBatch:
    """The ranges of one batch."""

    batch_id: int

    def __str__(self) -> str:
        return f"batch {self.batch_id}"


@dataclass(frozen=True, slots=True)
class OneRecord:
    """One record."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"record {self.partition}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Quarantined:
    """All records that lie in quarantine for one reason, whatever their batch."""

    reason: str

    def __str__(self) -> str:
        return f"all quarantined as {self.reason!r}"


@dataclass(frozen=True, slots=True)
class Predicted:
    """
    All records with a label, or with a score of their label below a bound, or with both.

    `within` bounds where to look; None: everywhere.

    Raises:
        ConfigError: Neither is given, the label is empty, or the bound is not within (0, 1].
    """

    label: str | None = None
    below: float | None = None
    within: Ranges | Window | None = None

    def __post_init__(self) -> None:
        if self.label is None and self.below is None:
            msg = "a selection by what the judge said needs a label or a bound of the score"
            raise ConfigError(msg, remedy="Give one of them, or both")
        if self.label is not None and not self.label.strip():
            msg = "a label is empty"
            raise ConfigError(msg, remedy="frameferry status --json lists the labels")
        if self.below is not None and not 0 < self.below <= 1:
            msg = f"{self.below:g} is no bound of a score"
            raise ConfigError(msg, remedy="Give 0 < below <= 1; scores are from 0 to 1")

    def __str__(self) -> str:
        label = f" labelled {self.label!r}" if self.label is not None else ""
        below = f" scored below {self.below:g}" if self.below is not None else ""
        within = f" within {self.within}" if self.within is not None else ""
        return f"all{label}{below}{within}"


Selection = Ranges | Window | OfBatch | OneRecord | Quarantined | Predicted


@dataclass(frozen=True, slots=True)
class LastFailed:
    """The newest batch that failed: what a person says instead of its number."""

    def __str__(self) -> str:
        return "the last failed batch"


@dataclass(frozen=True, slots=True)
class Onwards:
    """All that is committed from some offsets on, each the first of its partition."""

    points: tuple[OneRecord, ...]

    def __str__(self) -> str:
        places = ", ".join(f"{one.partition}:{one.offset}" for one in self.points)
        return f"all that is committed from {places} on"


Asked = Selection | LastFailed | Onwards
"""What a person may ask for. A replay keeps the `Selection` that it came to."""


def range_of(partition: int, start: int, end: int) -> OffsetRange:
    """
    Make a range from what a person gave.

    Raises:
        ConfigError: It is not a range.
    """
    if partition < 0 or not 0 <= start < end <= _LARGEST:
        msg = (
            f"not an offset range: from {start} to {end} of partition {partition} (to is exclusive)"
        )
        raise ConfigError(msg, remedy="Give 0 <= from < to", partition=partition)
    return OffsetRange(partition, start, end)


def read_range(text: str) -> OffsetRange:
    """
    Read `partition:from-to`; `to` is exclusive.

    Raises:
        ConfigError: It is something else.
    """
    found = _RANGE.fullmatch(text.strip())
    if found is None:
        msg = f"{text!r} is not an offset range"
        raise ConfigError(msg, remedy="Give partition:from-to, for instance 0:120-480")
    return range_of(*map(int, found.groups()))


def read_record(text: str) -> OneRecord:
    """
    Read `partition:offset`.

    Raises:
        ConfigError: It is something else.
    """
    found = _RECORD.fullmatch(text.strip())
    if found is None:
        msg = f"{text!r} is not a record"
        raise ConfigError(msg, remedy="Give partition:offset, for instance 0:120")
    return record_of(*map(int, found.groups()))


def read_moment(text: str) -> int:
    """
    Read an ISO 8601 moment with its zone, as milliseconds since 1970.

    Raises:
        ConfigError: It is something else, or has no zone.
    """
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        what = "not a moment" if moment is None else "a moment without a zone"
        msg = f"{text!r} is {what}"
        raise ConfigError(msg, remedy="Give ISO 8601 with a zone, such as 2026-05-01T06:00:00Z")
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def batch_of(batch_id: int) -> OfBatch:
    """
    Select a batch by the number that a person gave.

    Raises:
        ConfigError: No batch has such a number.
    """
    if not 0 < batch_id <= _LARGEST:
        msg = f"{batch_id} is no batch's number"
        raise ConfigError(msg, remedy="frameferry status lists the last batches")
    return OfBatch(batch_id)


def reason_of(reason: str) -> Quarantined:
    """
    Select what lies in quarantine for the reason that a person gave.

    Raises:
        ConfigError: It is empty.
    """
    if not reason.strip():
        msg = "a selection of what is in quarantine needs a reason"
        raise ConfigError(msg, remedy="frameferry quarantine lists the reasons")
    return Quarantined(reason.strip())


def predicted_of(label: str | None, below: float | None, within: Asked | None) -> Predicted:
    """
    Select by what the judge said, as a person gave it.

    Raises:
        ConfigError: A bound is no score, a label is empty, or *within* is no place or time.
    """
    if within is not None and not isinstance(within, Ranges | Window):
        msg = f"what the judge said cannot be looked for within {within}"
        raise ConfigError(msg, remedy="Name offset ranges or a window of time, or neither")
    return Predicted(label, below, within)


def record_of(partition: int, offset: int) -> OneRecord:
    """
    Select one record by the numbers that a person gave.

    Raises:
        ConfigError: They are none.
    """
    one = range_of(partition, offset, offset + 1)
    return OneRecord(one.partition, one.start)


def iso(milliseconds: int) -> str:
    """Write milliseconds since 1970 as ISO 8601, in UTC."""
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
