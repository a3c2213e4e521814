"""
A log that was cut short: an unclean leader election, or a disk that was lost.

Other records take the offsets then. It shows if the log ends below what was planned of it, or if,
after a new leader, the last judged record is no longer the same.
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

    The last known record is read again only if the partition has a new leader.

    Raises:
        LogTruncated: Names the partition, and from where on.
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
    Find the first offset that may hold another record than the ledger knows.

    A log is cut at one place: records below it are the same, records above it are not. So this is a
    binary search over what the ledger has seen; it reads about twenty records. Nobody knows the
    records of pruned rows: better one delivered twice than never.

    Returns:
        The planned offset if nothing differs.
    """
    same, other = marks.low, min(marks.high, mine.planned)
    while same < other:
        middle = (same + other) // 2
        found = _differs_at(ctx, mine, marks, OffsetRange(mine.partition, same, middle + 1))
        if found is None:
            same = middle + 1
        else:
            other = found
    if other < min(marks.high, mine.planned):
        return _first_unknown(ctx, mine, marks.low, other)
    if other < mine.planned or mine.planned <= marks.low:
        return other
    whole = OffsetRange(mine.partition, marks.low, mine.planned)
    behind = _differs_at(ctx, mine, marks, whole)
    return other if behind is None else _first_unknown(ctx, mine, marks.low, behind)


def _first_unknown(ctx: Context, mine: Progress, low: int, other: int) -> int:
    """Step back from a differing record, over what was pruned, to just after the last known one."""
    if low >= other:
        return other
    row = ctx.ledger.last_recorded(ctx.pipeline, partition=mine.partition, start=low, end=other)
    start = low if row is None else row[0] + 1
    return ctx.ledger.finished_through(
        ctx.pipeline, partition=mine.partition, start=start, end=other
    )


def _refuse_other_record(ctx: Context, mine: Progress, marks: Watermarks) -> None:
    if mine.leader_epoch is None or mine.planned <= marks.low:
        return
    known = OffsetRange(mine.partition, marks.low, mine.planned)
    if (offset := _differs_at(ctx, mine, marks, known)) is not None:
        what = f"offset {offset} holds another record than the one that was judged, or than none"
        raise _truncated(ctx, mine.partition, what)


def _differs_at(ctx: Context, mine: Progress, marks: Watermarks, within: OffsetRange) -> int | None:
    """
    Find out whether the last record that the ledger knows there is still the same.

    Not only committed records count: one that was judged may be delivered already. As far as the
    ledger knows every record, only markers follow the last one, and other records may have replaced
    them.
    """
    place = within.partition
    seen = _last_known(ctx, mine, within)
    if seen is None:
        return None
    if not _holds(ctx, place, *seen):
        return seen[0]
    behind, end = seen[0] + 1, min(within.end, mine.committed, marks.end)
    if seen != mine.last and behind < end:
        end = ctx.ledger.finished_through(ctx.pipeline, partition=place, start=behind, end=end)
    if behind >= end:
        return None
    return next((record.offset for record in ctx.reader(OffsetRange(place, behind, end))), None)


def _last_known(ctx: Context, mine: Progress, within: OffsetRange) -> tuple[int, str] | None:
    """Find the last record there, by its row, or as the last committed one if that was pruned."""
    row = ctx.ledger.last_recorded(
        ctx.pipeline, partition=within.partition, start=within.start, end=within.end
    )
    last = mine.last if mine.last is not None and mine.last[0] in within else None
    return max((seen for seen in (row, last) if seen is not None), default=None)


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
