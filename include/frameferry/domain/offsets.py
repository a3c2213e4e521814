"""Offsets of one partition's log: half-open ranges and watermarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


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

    def without(self, others: Iterable[OffsetRange]) -> tuple[OffsetRange, ...]:
        """Return what the others leave of this range, in order."""
        left, start = [], self.start
        for other in sorted(other for other in others if self.overlaps(other)):
            if start < other.start:
                left.append(OffsetRange(self.partition, start, other.start))
            start = max(start, other.end)
        if start < self.end:
            left.append(OffsetRange(self.partition, start, self.end))
        return tuple(left)

    def overlaps(self, other: OffsetRange) -> bool:
        """Say whether any offset lies in both; ranges of two partitions never overlap."""
        return (
            self.partition == other.partition and self.start < other.end and other.start < self.end
        )


@dataclass(frozen=True, slots=True)
class Watermarks:
    """
    One partition's log as a `read_committed` reader sees it.

    `low` is the oldest offset still held, `end` the last stable offset (exclusive). `high`, the
    high watermark, is beyond `end` while a transaction is open. `leader_epoch` counts the leaders
    that the log has had, None if the broker does not say; it does not tell where the log stands,
    and so is not compared.
    """

    low: int
    end: int
    high: int
    leader_epoch: int | None = field(default=None, compare=False)

    @property
    def held_back(self) -> int:
        """Offsets that an open transaction keeps from readers."""
        return self.high - self.end


@dataclass(frozen=True, slots=True)
class Retention:
    """How long a topic keeps a record; None: for ever. The bytes are those of one partition."""

    seconds: float | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """
    How far one partition is planned and committed: the *next* offset, in both.

    `leader_epoch` is that of the log's leader when the log was last found to be the same. `last` is
    the offset and sha256 of the last committed record, by which the log is recognised. `start` is
    where planning began.
    """

    partition: int
    planned: int
    committed: int
    leader_epoch: int | None = None
    last: tuple[int, str] | None = None
    start: int = 0

    @property
    def is_begun(self) -> bool:
        """Say whether anything was ever planned of it."""
        return self.planned > self.start
