"""From what a person filled in to a selection, and from a selection to offset ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypedDict, Unpack

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import (
    Asked,
    LastFailed,
    OfBatch,
    OneRecord,
    Onwards,
    Predicted,
    Quarantined,
    Ranges,
    Selection,
    Window,
    batch_of,
    predicted_of,
    range_of,
    read_moment,
    read_range,
    read_record,
    reason_of,
)
from frameferry.errors import ConfigError
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world

MAX_RANGES = 65_536
"""More do not fit in a replay, whose batches are bounded in number and in ranges."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Fields(TypedDict, total=False):
    """
    What a person filled in to select by place, time, batch, record or quarantine.

    `partition`, `start` and `end` are one range, whose end is exclusive; `ranges` are others, each
    as `partition:from-to`. `since` and `until`, exclusive, are a window of time in ISO 8601 with a
    zone. `record` is `partition:offset`, and `quarantined` a reason. `resume_from` are offsets as
    `partition:offset`, each the first of all that is committed behind it.
    """

    partition: int | None
    start: int | None
    end: int | None
    ranges: Sequence[str]
    since: str | None
    until: str | None
    batch: int | None
    last_failed: bool
    record: str | None
    quarantined: str | None
    resume_from: Sequence[str]


def selected(
    *, label: str | None = None, below: float | None = None, **fields: Unpack[Fields]
) -> Asked:
    """
    Make a selection from what a person filled in: one kind, and that kind complete.

    Args:
        label: All of a label; one range, ranges or a window may bound where to look.
        below: All whose score is below; with a label, or without. Bounded likewise.
        fields: All else; no more than one kind.

    Raises:
        ConfigError: Nothing is selected, or by several kinds, or half of one is missing.
    """
    if label is None and below is None:
        return _of_one_kind(fields)
    is_bounded = any(value not in (None, (), [], False) for value in fields.values())
    within = _of_one_kind(fields) if is_bounded else None
    return predicted_of(label, below, within)


def _of_one_kind(fields: Fields) -> Asked:
    kinds: dict[str, tuple[object, ...]] = {
        "partition, from and to": (fields.get("partition"), fields.get("start"), fields.get("end")),
        "ranges": (tuple(fields.get("ranges", ())) or None,),
        "where to resume from": (tuple(fields.get("resume_from", ())) or None,),
        "since and until": (fields.get("since"), fields.get("until")),
        "a batch": (fields.get("batch"),),
        "the last failed batch": (fields.get("last_failed") or None,),
        "a record": (fields.get("record"),),
        "a reason of quarantine": (fields.get("quarantined"),),
    }
    _refuse_other_than_one(kinds)
    return _by_place(fields) or _by_name(fields)


def _by_place(fields: Fields) -> Asked | None:
    match fields:
        case {"partition": int(partition), "start": int(start), "end": int(end)}:
            return Ranges((range_of(partition, start, end),))
        case {"since": str(since), "until": str(until)}:
            return Window(read_moment(since), read_moment(until))
        case {"ranges": [_, *_] as ranges}:
            return Ranges(tuple(map(read_range, ranges)))
        case {"resume_from": [_, *_] as points}:
            return Onwards(tuple(map(read_record, points)))
    return None


def _by_name(fields: Fields) -> Asked:
    match fields:
        case {"batch": int(batch)}:
            return batch_of(batch)
        case {"record": str(record)}:
            return read_record(record)
        case {"quarantined": str(reason)}:
            return reason_of(reason)
    return LastFailed()


def _refuse_other_than_one(kinds: Mapping[str, tuple[object, ...]]) -> None:
    given = [name for name, values in kinds.items() if any(one is not None for one in values)]
    if len(given) != 1:
        msg = f"select by {' and by '.join(given)}, or what?" if given else "nothing is selected"
        raise ConfigError(msg, remedy=f"Give one of: {'; '.join(kinds)}; a label or a score")
    if None in kinds[given[0]]:
        msg = f"half of a selection is missing: {given[0]} belong together"
        raise ConfigError(msg, remedy="Give them all")


def settled(ctx: Context, asked: Asked) -> Selection:
    """
    Say which batch the last failed one is, and where an onward selection ends.

    Any other selection says what it is by itself.

    Raises:
        ConfigError: None failed, or the one that did is not committed yet; or nothing that is
            committed lies behind an offset to resume from.
    """
    match asked:
        case LastFailed():
            return _last_failed(ctx)
        case Onwards(points):
            return _onwards(ctx, points)
        case _:
            return asked


def _onwards(ctx: Context, points: Sequence[OneRecord]) -> Ranges:
    committed = ctx.ledger.committed_offsets(ctx.pipeline)
    for point in points:
        end = committed.get(point.partition, 0)
        if point.offset >= end:
            msg = f"{point} is not below the committed offset {end}: the live flow comes there"
            remedy = "Name an offset that is committed; offsets are never skipped"
            raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline, partition=point.partition)
    return Ranges(
        tuple(range_of(one.partition, one.offset, committed[one.partition]) for one in points)
    )


def _last_failed(ctx: Context) -> OfBatch:
    batch_id = ctx.ledger.last_failed_batch(ctx.pipeline)
    if batch_id is None:
        msg = "no batch of this pipeline failed"
        remedy = f"See: frameferry status {ctx.pipeline}"
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)
    committed = ctx.ledger.committed_offsets(ctx.pipeline)
    if any(one.end > committed.get(one.partition, 0) for one in ctx.ledger.batch(batch_id).ranges):
        msg = "the last failed batch is not committed yet, so there is nothing to be run again"
        remedy = f"The next run goes on with it; see: frameferry status {ctx.pipeline}"
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline, batch=batch_id)
    return OfBatch(batch_id)


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
        case Predicted():
            found = _of_prediction(ctx, selection)
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


def _of_prediction(ctx: Context, wanted: Predicted) -> tuple[OffsetRange, ...]:
    committed = ctx.ledger.committed_offsets(ctx.pipeline)
    window = wanted.within if isinstance(wanted.within, Window) else None
    if isinstance(wanted.within, Ranges):
        among = wanted.within.ranges
        _refuse_uncommitted(ctx, among)
    else:
        floors = {} if window is None else _floors(ctx, window.start_ms)
        among = tuple(
            OffsetRange(partition, start, end)
            for partition, end in sorted(committed.items())
            if (start := floors.get(partition, 0)) < end
        )
    found = ctx.ledger.predicted_ranges(
        ctx.pipeline,
        among,
        label=wanted.label,
        below=wanted.below,
        window_ms=None if window is None else (window.start_ms, window.end_ms),
        most=MAX_RANGES,
    )
    if len(found) > MAX_RANGES:
        msg = f"{wanted} lie in more than {MAX_RANGES:,} separate ranges"
        remedy = "Bound it by offset ranges or by a window of time"
        raise ConfigError(msg, remedy=remedy, pipeline=ctx.pipeline)
    return tuple(found)


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
