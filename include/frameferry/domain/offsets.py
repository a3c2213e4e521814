"""Offsets of one partition's log: half-open ranges and watermarks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class OffsetRange:
    """
    The half-open range `[start, end)` of one partition's offsets.

    `0 <= start < end`. It holds at most `end - start` records: markers and aborted
    records take offsets too.
    """

    partition: int
    start: int
    end: int

    def __post_init__(self) -> None:
        if self.partition < 0 or not 0 <= self.start < self.end:
            msg = f"not an offset range: {self.partition}:[{self.start}, {self.end})"
            raise ValueError(msg)

    def __contains__(self, offset: int) -> bool:
        return self.start <= offset < self.end

    def __str__(self) -> str:
        return f"{self.partition}:[{self.start}, {self.end})"

    @property
    def length(self) -> int:
        """Offsets, not records."""
        return self.end - self.start

    def overlaps(self, other: OffsetRange) -> bool:
        """Say whether any offset lies in both; ranges of two partitions never overlap."""
        return (
            self.partition == other.partition and self.start < other.end and other.start < self.end
        )


@dataclass(frozen=True, slots=True)
class Watermarks:
    """
    One partition's log as a `read_committed` reader sees it.

    `low` is the oldest offset still held; `end` the last stable offset (exclusive);
    `high` the high watermark, beyond `end` while a transaction is open.
    """

    low: int
    end: int
    high: int

    @property
    def held_back(self) -> int:
        """Offsets that an open transaction keeps from readers."""
        return self.high - self.end


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one partition is planned and committed: the *next* offset, in both."""

    partition: int
    planned: int
    committed: int
