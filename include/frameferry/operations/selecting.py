"""From what a person filled in to a selection, and from a selection to offset ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import (
    OfBatch,
    OneRecord,
    Quarantined,
    Ranges,
    Selection,
    Window,
    batch_of,
    range_of,
    read_moment,
    read_range,
    read_record,
    reason_of,
)
from frameferry.errors import ConfigError
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def selected(
    *,
    partition: int | None = None,
    start: int | None = None,
    end: int | None = None,
    ranges: Sequence[str] = (),
    since: str | None = None,
    until: str | None = None,
    batch: int | None = None,
    record: str | None = None,
    quarantined: str | None = None,
) -> Selection:
    """
    Make a selection from what a person filled in: one kind, and that kind complete.

    Args:
        partition: The partition of one range.
        start: Its first offset, inclusive.
        end: Its last offset, exclusive.
        ranges: Ranges, each as `partition:from-to`.
        since: The start of a window of time, in ISO 8601 with a zone.
        until: Its end, exclusive.
        batch: A batch's number.
        record: One record, as `partition:offset`.
        quarantined: The reason of a quarantine.

    Raises:
        ConfigError: Nothing is selected, or by several kinds, or half of one is missing.
    """
    kinds: dict[str, tuple[object, ...]] = {
        "partition, from and to": (partition, start, end),
        "ranges": (tuple(ranges) or None,),
        "since and until": (since, until),
        "a batch": (batch,),
        "a record": (record,),
        "a reason of quarantine": (quarantined,),
    }
    given = [name for name, values in kinds.items() if any(one is not None for one in values)]
    if len(given) != 1:
        msg = f"select by {' and by '.join(given)}, or what?" if given else "nothing is selected"
        raise ConfigError(msg, remedy=f"Give one of: {'; '.join(kinds)}")
    if None in kinds[given[0]]:
        msg = f"half of a selection is missing: {given[0]} belong together"
        raise ConfigError(msg, remedy="Give them all")
    if partition is not None and start is not None and end is not None:
        return Ranges((range_of(partition, start, end),))
    if since is not None and until is not None:
        return Window(read_moment(since), read_moment(until))
    if batch is not None:
        return batch_of(batch)
    if record is not None:
        return read_record(record)
    if quarantined is not None:
        return reason_of(quarantined)
    return Ranges(tuple(map(read_range, ranges)))


def offsets_of(ctx: Context, selection: Selection) -> tuple[OffsetRange, ...]:
    """
    Find the offset ranges of a selection, in order.

    Raises:
        ConfigError: It names a partition or a batch that is not of this pipeline, or what is not
            committed yet, or matches nothing.
        LedgerConflict: The ledger knows no such batch.
        KafkaUnavailable, TopicMissing: Kafka was asked, and did not answer.
    """
    match selection:
        case Ranges(ranges):
            found = ranges
        case OneRecord(partition, offset):
            found = (OffsetRange(partition, offset, offset + 1),)
        case OfBatch(batch_id):
            found = _of_batch(ctx, batch_id)
        case Quarantined(reason):
            found = tuple(ctx.ledger.quarantined_ranges(ctx.pipeline, reason))
        case Window():
            found = _of_window(ctx, selection)
    if not found:
        raise _nothing(ctx, selection)
    _refuse_uncommitted(ctx, found)
    return found


def _of_batch(ctx: Context, batch_id: int) -> tuple[OffsetRange, ...]:
    batch = ctx.ledger.batch(batch_id)
    if batch.pipeline != ctx.pipeline:
        msg = f"batch {batch_id} is of pipeline {batch.pipeline}"
        raise ConfigError(msg, remedy="Name that pipeline, or another batch", pipeline=ctx.pipeline)
    newest = world.state(ctx).generation
    if batch.generation != newest:
        msg = (
            f"batch {batch_id} is of generation {batch.generation} of offsets that mean other "
            f"records in generation {newest}"
        )
        raise ConfigError(msg, remedy="It can be replayed no more", pipeline=ctx.pipeline)
    return batch.ranges


def _of_window(ctx: Context, window: Window) -> tuple[OffsetRange, ...]:
    ranges = ctx.ledger.window_ranges(
        ctx.pipeline,
        start_ms=window.start_ms,
        end_ms=window.end_ms,
        floors=_floors(ctx, window.start_ms),
    )
    return tuple(ranges)


def _floors(ctx: Context, start_ms: int) -> Mapping[int, int]:
    """
    Ask Kafka for each partition's offset below which every record is older than the window.

    Kafka knows only what it holds. If its answer is the oldest offset that it holds, there may be
    more of the window below, and that is refused like any range that it lost.
    """
    topic = ctx.settings.kafka.topic
    partitions = tuple(ctx.ledger.committed_offsets(ctx.pipeline))
    # A millisecond earlier: nothing depends on how records of the very moment are looked up.
    before = _EPOCH + timedelta(milliseconds=max(start_ms - 1, 0))
    with ctx.cluster() as cluster:
        low = cluster.view(topic, partitions).watermarks
        found = cluster.offsets_at(topic, partitions, before)
    return {of: offset for of, offset in found.items() if offset > low[of].low}


def _nothing(ctx: Context, selection: Selection) -> ConfigError:
    msg = f"nothing that is committed matches: {selection}"
    remedy = f"See: frameferry records {ctx.pipeline}"
    if isinstance(selection, Quarantined):
        reasons = ctx.ledger.counts(ctx.pipeline).reasons
        held = ", ".join(f"{reason} ({number})" for reason, number in reasons.items())
        remedy = f"In quarantine are: {held or 'none'}"
    return ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)


def _refuse_uncommitted(ctx: Context, ranges: Sequence[OffsetRange]) -> None:
    known = ctx.ledger.committed_offsets(ctx.pipeline)
    for one in ranges:
        if one.partition not in known:
            has = ", ".join(map(str, sorted(known))) or "none yet"
            msg = f"this pipeline has no partition {one.partition}; it has: {has}"
            raise ConfigError(msg, remedy="Name one of these", pipeline=ctx.pipeline)
        committed = known[one.partition]
        if one.end > committed:
            msg = f"{one} ends beyond the committed offset {committed}"
            remedy = f"Choose to <= {committed}; only what is committed can be replayed"
            raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline, partition=one.partition)
