"""
A log that was cut short: an unclean leader election, or a disk that was lost.

Other records take the offsets then. It shows where the log ends below what was planned of it, and,
after a new leader, where the last committed record is no longer the same.
"""

from __future__ import annotations

from frameferry.domain.offsets import OffsetRange, Progress, Watermarks
from frameferry.domain.records import sha256_hex
from frameferry.domain.state import PipelineState
from frameferry.errors import LogTruncated
from frameferry.kafka.cluster import TopicView
from frameferry.pipeline.context import Context


def refuse_truncated(ctx: Context, known: PipelineState, view: TopicView) -> None:
    """
    Make sure that each log is the one that was planned and committed.

    The last committed record is read again only where the partition has a new leader.

    Raises:
        LogTruncated: Names the partition, and since where.
    """
    led_anew = {}
    for partition, marks in view.watermarks.items():
        mine = known.progress.get(partition)
        if mine is None:
            continue
        if marks.high < mine.planned:
            what = f"it ends at {marks.high}, and was planned up to {mine.planned}"
            raise _truncated(ctx, partition, what)
        if marks.leader_epoch is not None and marks.leader_epoch != mine.leader_epoch:
            _refuse_other_record(ctx, mine, marks)
            led_anew[partition] = marks.leader_epoch
    if led_anew:
        ctx.ledger.note_leader_epochs(ctx.pipeline, led_anew)


def diverged_at(ctx: Context, mine: Progress, marks: Watermarks) -> int:
    """
    Find the first offset that may hold another record than the ledger knows of it.

    A log is cut at one place, so that records below are the same and records above are not: a
    search by halves over what the ledger has seen. It reads about twenty records.

    Returns:
        The planned offset where nothing differs.
    """
    same, other = marks.low, min(marks.high, mine.planned)
    while same < other:
        middle = (same + other) // 2
        seen = ctx.ledger.last_recorded(
            ctx.pipeline, partition=mine.partition, start=same, end=middle + 1
        )
        if seen is None or _holds(ctx, mine.partition, *seen):
            same = middle + 1
        else:
            other = seen[0]
    return other


def _refuse_other_record(ctx: Context, mine: Progress, marks: Watermarks) -> None:
    if mine.leader_epoch is None or mine.last is None or mine.last[0] < marks.low:
        return
    if not _holds(ctx, mine.partition, *mine.last):
        what = f"offset {mine.last[0]} holds another record than the one that was delivered"
        raise _truncated(ctx, mine.partition, what)


def _holds(ctx: Context, partition: int, offset: int, sha256: str) -> bool:
    records = list(ctx.reader(OffsetRange(partition, offset, offset + 1)))
    return [sha256_hex(record.value) for record in records] == [sha256]


def _truncated(ctx: Context, partition: int, what: str) -> LogTruncated:
    return LogTruncated(
        f"the log was truncated: {what}",
        remedy="Other images take its offsets. To go on with them, run: "
        f"frameferry topic accept {ctx.pipeline} --reason …",
        pipeline=ctx.pipeline,
        partition=partition,
    )
