"""What an envoy is asked, and what it replies: both are pickled, and never leave the machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from frameferry.errors import FrameferryError

OPEN: Final = "open"


class Question(NamedTuple):
    """A method of `Cluster`, or OPEN: it makes the cluster that the next questions are for."""

    name: str
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]


class Reply(NamedTuple):
    """What the method returned, or our error that it raised; and the process's memory then."""

    answer: Any = None
    error: FrameferryError | None = None
    resident_bytes: int = 0
