"""
What a record's row says, defined once: workers' rows, tables, copies and exports follow it.

A field here is a column everywhere; its type decides the column's. To add one see
"Adding" in CONTRIBUTING.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, get_args, get_type_hints

Kind = type[str] | type[int] | type[float]
_KINDS: Final[tuple[Kind, ...]] = (str, int, float)


@dataclass(frozen=True)
class Met:
    """Where a record lies and what its bytes are; `timestamp_ms` is Kafka's, -1 without one."""

    __slots__ = ()

    partition: int
    offset: int
    timestamp_ms: int
    source_name: str | None
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Said:
    """
    What the judge says of a picture, each None if it says nothing.

    `score` is in [0, 1]. `outputs` is the whole answer as JSON text. `value` is what was measured,
    finite, and `unit` what it is counted in, None for a plain number.
    """

    __slots__ = ()

    label: str | None = None
    score: float | None = None
    outputs: str | None = None
    value: float | None = None
    unit: str | None = None


def kinds_of(definition: type) -> Mapping[str, Kind]:
    """List the columns of a definition in order, each with the kind of its values."""
    hints = get_type_hints(definition)
    return {one.name: _kind(hints[one.name]) for one in fields(definition)}


def _kind(hint: Any) -> Kind:  # noqa: ANN401 - any annotation
    [kind] = [one for one in _KINDS if one in (get_args(hint) or (hint,))]
    return kind


MET: Final = kinds_of(Met)
SAID: Final = kinds_of(Said)


def said_of(row: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever has the columns as attributes
    """Take what the judge said out of anything that has it."""
    return {name: getattr(row, name) for name in SAID}
