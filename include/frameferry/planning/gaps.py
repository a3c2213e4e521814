"""Offsets that Kafka no longer holds although nobody has read them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from frameferry.domain.offsets import OffsetRange, Progress, Watermarks

RETENTION = "retention"
"""The cause of a gap below the low watermark: expired, or deleted by hand."""
REPLACED = "another log"
"""The cause of a gap if the topic was created anew, or its log truncated."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets `[start, end)` of one partition that are lost, and why."""

    partition: int
    start: int
    end: int
    cause: str = RETENTION

    def __str__(self) -> str:
        return f"{self.partition}:[{self.start}, {self.end}) lost to {self.cause}"


def find_gaps(
    progress: Mapping[int, Progress], watermarks: Mapping[int, Watermarks]
) -> tuple[Gap, ...]:
    """List what retention took before it was planned: planned offset up to low watermark."""
    return tuple(
        Gap(partition, known.planned, marks.low)
        for partition, known in sorted(progress.items())
        if (marks := watermarks.get(partition)) and known.planned < marks.low
    )


def cut_at_low(
    ranges: Iterable[OffsetRange], watermarks: Mapping[int, Watermarks]
) -> tuple[tuple[Gap, ...], tuple[OffsetRange, ...]]:
    """
    Cut frozen ranges that retention has overtaken: the gaps below, and the ranges that go on.

    Together they tile *ranges*. A partition without watermarks is left whole.
    """
    lost, left = [], []
    for one in ranges:
        marks = watermarks.get(one.partition)
        cut = min(max(one.start, marks.low), one.end) if marks else one.start
        if one.start < cut:
            lost.append(Gap(one.partition, one.start, cut))
        if cut < one.end:
            left.append(OffsetRange(one.partition, cut, one.end))
    return tuple(lost), tuple(left)


def cut_at_end(
    ranges: Iterable[OffsetRange], ends: Mapping[int, int], *, cause: str
) -> tuple[tuple[Gap, ...], tuple[OffsetRange, ...]]:
    """
    Cut frozen ranges whose upper offsets now mean other records: what is lost, what is left.

    Together they tile *ranges*. *ends* holds the first such offset by partition; a partition that
    is missing there is left whole.
    """
    lost, left = [], []
    for one in ranges:
        cut = max(min(ends.get(one.partition, one.end), one.end), one.start)
        if one.start < cut:
            left.append(OffsetRange(one.partition, one.start, cut))
        if cut < one.end:
            lost.append(Gap(one.partition, cut, one.end, cause))
    return tuple(lost), tuple(left)


def find_truncated(
    progress: Mapping[int, Progress], watermarks: Mapping[int, Watermarks]
) -> tuple[int, ...]:
    """
    List the partitions whose log ends below what is already planned of it.

    The cause is an unclean leader election, or a topic created anew. Other records will take these
    offsets, and no gap can be recorded for them: a person must look.
    """
    return tuple(
        partition
        for partition, known in sorted(progress.items())
        if (marks := watermarks.get(partition)) and marks.high < known.planned
    )
