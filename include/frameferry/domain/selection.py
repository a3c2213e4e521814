"""What a person selects to be run again, as a value, as JSON and as options of the command line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
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
            msg = f"no window: it begins at {_iso(self.start_ms)} and ends at {_iso(self.end_ms)}"
            raise ConfigError(msg, remedy="Let it end after it begins; its end is exclusive")

    def __str__(self) -> str:
        return f"records of {_iso(self.start_ms)} until {_iso(self.end_ms)} (exclusive)"


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


Selection = Ranges | Window | OfBatch | OneRecord | Quarantined


def to_json(selection: Selection) -> str:
    """Write a selection as JSON: equal selections as equal text; `parse` reads it back."""
    return json.dumps(_plain(selection))


def parse(text: str) -> Selection:
    """
    Read a selection from its JSON.

    Raises:
        ConfigError: Says what is wrong with it.
    """
    try:
        found = json.loads(text)
    except ValueError as error:
        msg = f"a selection is not JSON: {error}"
        raise ConfigError(msg, remedy=_remedy()) from None
    if not isinstance(found, dict) or len(found) != 1 or not set(found) <= set(_READERS):
        what = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        msg = f"a selection is an object with exactly one key that is known, not: {what or 'none'}"
        raise ConfigError(msg, remedy=_remedy())
    [(key, value)] = found.items()
    return _READERS[key](value)


def as_options(selection: Selection) -> str:
    """Spell a selection as options of `frameferry replay`."""
    match selection:
        case Ranges((one,)):
            return f"--partition {one.partition} --from {one.start} --to {one.end}"
        case Ranges(ranges):
            return " ".join(f"--range {one.partition}:{one.start}-{one.end}" for one in ranges)
        case Window(start_ms, end_ms):
            return f"--since {_iso(start_ms)} --until {_iso(end_ms)}"
        case OfBatch(batch_id):
            return f"--batch {batch_id}"
        case OneRecord(partition, offset):
            return f"--record {partition}:{offset}"
        case Quarantined(reason):
            return f"--quarantined {shlex.quote(reason)}"


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
    return _record(*map(int, found.groups()))


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


def _record(partition: int, offset: int) -> OneRecord:
    one = range_of(partition, offset, offset + 1)
    return OneRecord(one.partition, one.start)


def _iso(milliseconds: int) -> str:
    moment = _EPOCH + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _plain(selection: Selection) -> dict[str, Any]:
    match selection:
        case Ranges(ranges):
            listed = [{"partition": r.partition, "from": r.start, "to": r.end} for r in ranges]
            return {"ranges": listed}
        case Window(start_ms, end_ms):
            return {"window": {"from": _iso(start_ms), "to": _iso(end_ms)}}
        case OfBatch(batch_id):
            return {"batch": batch_id}
        case OneRecord(partition, offset):
            return {"record": {"partition": partition, "offset": offset}}
        case Quarantined(reason):
            return {"quarantined": reason}


def _read_ranges(value: object) -> Ranges:
    listed = _typed("ranges", value, list)
    places = [_fields("ranges", one, int, "partition", "from", "to") for one in listed]
    return Ranges(tuple(range_of(*place) for place in places))


def _read_window(value: object) -> Window:
    return Window(*map(read_moment, _fields("window", value, str, "from", "to")))


def _read_batch(value: object) -> OfBatch:
    return batch_of(_typed("batch", value, int))


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


def _read_quarantined(value: object) -> Quarantined:
    return reason_of(_typed("quarantined", value, str))


def _read_record(value: object) -> OneRecord:
    return _record(*_fields("record", value, int, "partition", "offset"))


_READERS: Final[Mapping[str, Callable[[object], Selection]]] = {
    "ranges": _read_ranges,
    "window": _read_window,
    "batch": _read_batch,
    "record": _read_record,
    "quarantined": _read_quarantined,
}


def _fields(key: str, value: object, kind: type[ValueT], *names: str) -> list[ValueT]:
    """Take exactly these fields of an object, in order."""
    if not isinstance(value, Mapping) or set(value) != set(names):
        raise _wrong(key, value)
    return [_typed(f"{key}.{name}", value[name], kind) for name in names]


def _typed(key: str, value: object, kind: type[ValueT]) -> ValueT:
    # To Python a truth value is a whole number.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise _wrong(key, value)
    return value


def _wrong(key: str, value: object) -> ConfigError:
    msg = f"{key} of a selection cannot be {json.dumps(value, ensure_ascii=False)}"
    return ConfigError(msg, remedy=_remedy())


def _remedy() -> str:
    examples: tuple[Selection, ...] = (
        Ranges((OffsetRange(0, 120, 480),)),
        Window(0, 60_000),
        OfBatch(7),
        OneRecord(0, 120),
        Quarantined("truncated"),
    )
    return f"Give one of: {'; '.join(map(to_json, examples))}"
