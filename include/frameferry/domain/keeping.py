"""Pictures in quarantine whose bytes may be kept, and which of them fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

_NAME: Final = re.compile(r"([0-9]+)-([0-9]+)-([0-9]{20})")


class Place(NamedTuple):
    """Where a record lies, over all generations of its topic."""

    generation: int
    partition: int
    offset: int

    @property
    def file_name(self) -> str:
        """Name its kept copy: the same at every attempt, and no other record's."""
        return f"{self.generation}-{self.partition}-{self.offset:020d}"


def place_of(file_name: str) -> Place | None:
    """Read a kept copy's name; None if the file is something else."""
    found = _NAME.fullmatch(file_name)
    return None if found is None else Place(*map(int, found.groups()))


@dataclass(frozen=True, slots=True)
class SetAside:
    """A picture in quarantine, and what its bytes must be; `kept_copy` is None if it has none."""

    record_id: int
    place: Place
    size_bytes: int
    sha256: str
    source_name: str | None
    kept_copy: str | None


@dataclass(frozen=True, slots=True)
class Unkept:
    """What a partition has in quarantine that only Kafka holds; `oldest_at` is None if undated."""

    number: int
    first_offset: int
    oldest_at: datetime | None


def fitting(newest_first: Iterable[SetAside], max_bytes: int) -> Iterator[SetAside]:
    """
    Yield the newest that fit into *max_bytes* together.

    One that is too large by itself is passed over. The first that does not fit beside the newer
    ones ends it: what is older goes first.
    """
    left = max_bytes
    for one in newest_first:
        if one.size_bytes > max_bytes:
            continue
        left -= one.size_bytes
        if left < 0:
            return
        yield one
