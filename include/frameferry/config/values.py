"""Values that a pipeline's file may give in more than one form."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field


def _all_or_numbers(value: object) -> object:
    if value != "all" and (not isinstance(value, list | tuple) or not value):
        msg = "must be all, or a list of partitions such as [0, 1]"
        raise ValueError(msg)
    if isinstance(value, list) and len(set(map(str, value))) != len(value):
        msg = "a partition is named twice"
        raise ValueError(msg)
    return value


def _beginning(value: object) -> object:
    """Refuse a bare number (an offset? seconds?) and the silent default of another tool."""
    if isinstance(value, dict) and value:
        return value
    if isinstance(value, str) and value not in {"earliest", "adopt"}:
        value = _moment(value)
    if isinstance(value, str) or (isinstance(value, datetime) and value.tzinfo is not None):
        return value
    msg = (
        "must be earliest, adopt, a time with its zone as in 2026-11-23T08:00:00+09:00, "
        'or an offset per partition as in {"0": 4711}'
    )
    raise ValueError(msg)


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


ConnectionId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,200}$")]
PartitionNumber = Annotated[int, Field(ge=0)]
Partitions = Annotated[
    Literal["all"] | tuple[PartitionNumber, ...], BeforeValidator(_all_or_numbers)
]
Start = Annotated[
    Literal["earliest", "adopt"] | datetime | dict[PartitionNumber, Annotated[int, Field(ge=0)]],
    BeforeValidator(_beginning),
]
