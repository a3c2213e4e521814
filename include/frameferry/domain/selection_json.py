"""A selection as JSON, as the ledger keeps it, and as options of the command line."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import (
    OfBatch,
    OneRecord,
    Predicted,
    Quarantined,
    Ranges,
    Selection,
    Window,
    batch_of,
    iso,
    predicted_of,
    range_of,
    read_moment,
    reason_of,
    record_of,
)
from frameferry.errors import ConfigError

ValueT = TypeVar("ValueT", str, int, float, list[Any])


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
    return _read(found)


def _read(found: object) -> Selection:
    if not isinstance(found, dict) or len(found) != 1 or not set(found) <= set(_READERS):
        what = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
        msg = f"a selection is an object with exactly one key that is known, not: {what or 'none'}"
        raise ConfigError(msg, remedy=_remedy())
    [(key, value)] = found.items()
    return _READERS[key](value)


def as_options(selection: Selection) -> str:
    """Spell a selection as options of `frameferry replay`."""
    match selection:
        case Ranges(ranges):
            return _options_of_ranges(ranges)
        case Window(start_ms, end_ms):
            return f"--since {iso(start_ms)} --until {iso(end_ms)}"
        case OfBatch(batch_id):
            return f"--batch {batch_id}"
        case OneRecord(partition, offset):
            return f"--record {partition}:{offset}"
        case Quarantined(reason):
            return f"--quarantined {shlex.quote(reason)}"
        case Predicted():
            return " ".join(_options_of(selection))


def _options_of_ranges(ranges: Sequence[OffsetRange]) -> str:
    if len(ranges) > 1:
        return " ".join(f"--range {one.partition}:{one.start}-{one.end}" for one in ranges)
    [one] = ranges
    return f"--partition {one.partition} --from {one.start} --to {one.end}"


def _options_of(predicted: Predicted) -> Iterator[str]:
    if predicted.label is not None:
        yield f"--label {shlex.quote(predicted.label)}"
    if predicted.below is not None:
        yield f"--below {predicted.below!r}"
    if predicted.within is not None:
        yield as_options(predicted.within)


def _plain(selection: Selection) -> dict[str, Any]:
    match selection:
        case Ranges(ranges):
            listed = [{"partition": r.partition, "from": r.start, "to": r.end} for r in ranges]
            return {"ranges": listed}
        case Window(start_ms, end_ms):
            return {"window": {"from": iso(start_ms), "to": iso(end_ms)}}
        case OfBatch(batch_id):
            return {"batch": batch_id}
        case OneRecord(partition, offset):
            return {"record": {"partition": partition, "offset": offset}}
        case Quarantined(reason):
            return {"quarantined": reason}
        case Predicted(label, below, within):
            bound = None if within is None else _plain(within)
            said = {"label": label, "below": below, "within": bound}
            return {"predicted": {name: one for name, one in said.items() if one is not None}}


def _read_ranges(value: object) -> Ranges:
    listed = _typed("ranges", value, list)
    places = [_fields("ranges", one, int, "partition", "from", "to") for one in listed]
    return Ranges(tuple(range_of(*place) for place in places))


def _read_window(value: object) -> Window:
    return Window(*map(read_moment, _fields("window", value, str, "from", "to")))


def _read_batch(value: object) -> OfBatch:
    return batch_of(_typed("batch", value, int))


def _read_quarantined(value: object) -> Quarantined:
    return reason_of(_typed("quarantined", value, str))


def _read_record(value: object) -> OneRecord:
    return record_of(*_fields("record", value, int, "partition", "offset"))


def _read_predicted(value: object) -> Predicted:
    key = "predicted"
    if not isinstance(value, Mapping) or not set(value) <= {"label", "below", "within"}:
        raise _wrong(key, value)
    label, below = value.get("label"), value.get("below")
    return predicted_of(
        None if label is None else _typed(f"{key}.label", label, str),
        None if below is None else _number(f"{key}.below", below),
        None if "within" not in value else _read(value["within"]),
    )


def _number(key: str, value: object) -> float:
    return float(_typed(key, value, int) if isinstance(value, int) else _typed(key, value, float))


_READERS: Final[Mapping[str, Callable[[object], Selection]]] = {
    "ranges": _read_ranges,
    "window": _read_window,
    "batch": _read_batch,
    "record": _read_record,
    "quarantined": _read_quarantined,
    "predicted": _read_predicted,
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
        Predicted("scratch", 0.6),
    )
    return f"Give one of: {'; '.join(map(to_json, examples))}"
