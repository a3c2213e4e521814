"""Hold what another system says against what Kafka has now, partition by partition."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from frameferry.domain.adoption import Origin
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.wording import counted
from frameferry.kafka.cluster import TopicView
from frameferry.pipeline.context import Context

_MOST_LOOKS: Final = 4
"""Partitions whose last record is read, which costs a picture's bytes each."""
_CLOCKS: Final = timedelta(minutes=5)
"""How far a producer's clock may be ahead of Spark's."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """
    Where one partition begins.

    `start` is the next offset to plan; Kafka holds `[low, end)`. `since_low` is `start - low`,
    negative where Kafka no longer holds what comes next, and `to_end` is what is left to do, in
    offsets. `carried_to` is the end of what the other system had planned and not committed; None
    if nothing. `is_known` says whether the other system knew the partition.
    """

    partition: int
    start: int
    low: int
    end: int
    since_low: int
    to_end: int
    carried_to: int | None
    is_known: bool

    @property
    def lost(self) -> OffsetRange | None:
        """What Kafka lost before it could be adopted; None if nothing."""
        if self.start >= self.low:
            return None
        return OffsetRange(self.partition, self.start, self.low)


@dataclass(frozen=True, slots=True)
class Survey:
    """
    Where each partition begins; what a person should know, and what stands against it.

    `losses` stand against it until a person accepts them; `objections` always do.
    """

    beginnings: tuple[Beginning, ...]
    notes: tuple[str, ...]
    losses: tuple[str, ...]
    objections: tuple[str, ...]


def survey(ctx: Context, origin: Origin, view: TopicView, *, carries: bool) -> Survey:
    """
    Compare an origin with the topic as it is.

    Args:
        ctx: The pipeline.
        origin: What the other system says of its topic.
        view: The pipeline's partitions as Kafka has them now.
        carries: Whether what the other system had planned is to be carried as it was.

    Raises:
        KafkaUnavailable: No broker answered in time.
    """
    beginnings = tuple(
        _beginning(origin, partition, marks) for partition, marks in sorted(view.watermarks.items())
    )
    return Survey(
        beginnings,
        notes=tuple(_notes(ctx, origin, view, beginnings)),
        losses=(*_losses(beginnings), *_doubts(ctx, origin, beginnings)),
        objections=(
            *_owned_by_others(ctx, view),
            *_objections(origin, view, carries=carries),
        ),
    )


def to_carry(beginnings: tuple[Beginning, ...]) -> tuple[OffsetRange, ...]:
    """List what Kafka holds of what the other system had planned and not committed."""
    return tuple(
        OffsetRange(one.partition, first, one.carried_to)
        for one in beginnings
        if one.carried_to is not None and (first := max(one.start, one.low)) < one.carried_to
    )


def _beginning(origin: Origin, partition: int, marks: Watermarks) -> Beginning:
    start = origin.offsets.get(partition, marks.low)
    planned_to = origin.planned_to.get(partition, start)
    return Beginning(
        partition=partition,
        start=start,
        low=marks.low,
        end=marks.end,
        since_low=start - marks.low,
        to_end=max(marks.end - start, 0),
        carried_to=planned_to if planned_to > start else None,
        is_known=partition in origin.offsets,
    )


def _notes(
    ctx: Context, origin: Origin, view: TopicView, beginnings: tuple[Beginning, ...]
) -> Iterator[str]:
    new = [one.partition for one in beginnings if not one.is_known]
    if new:
        yield f"{_named(new)} unknown to the other system: from the earliest offset on"
    elsewhere = sorted({*origin.offsets} & {*view.partitions} - {*view.watermarks})
    if elsewhere:
        yield f"{_named(elsewhere)} not this pipeline's (kafka.partitions): left as it is"
    if origin.others:
        names = ", ".join(origin.others)
        yield f"it read other topics too: {names}: adopt each by a pipeline of its own"
    if origin.planned_to:
        yield (
            "what it had planned and not committed may be delivered in part: those pictures come "
            "again, under Frameferry's names"
        )
    if origin.planned_at is not None:
        at = f"{origin.planned_at:%Y-%m-%d %H:%M:%S} UTC"
        yield f"it planned last at {at}: see that it is stopped"
    topic = ctx.settings.kafka.topic
    if origin.is_of_this_topic:
        yield f"Kafka drops a group's offsets with the topic: they are of {topic} as it is today"
    else:
        yield (
            f"it holds no topic id: that {topic} was not deleted and made anew since, you have to "
            f"know; today's has id {view.topic_id}"
        )


def _losses(beginnings: tuple[Beginning, ...]) -> Iterator[str]:
    for lost in (one.lost for one in beginnings if one.lost):
        yield (
            f"partition {lost.partition}: {counted(lost.length, 'offset')} from {lost.start} on "
            f"lost: Kafka holds none below {lost.end}"
        )


def _owned_by_others(ctx: Context, view: TopicView) -> Iterator[str]:
    owned = ctx.ledger.owned_partitions(view.cluster_id, view.topic_id)
    for partition in sorted(view.watermarks):
        if owned.get(partition, ctx.pipeline) != ctx.pipeline:
            yield f"partition {partition} belongs to pipeline {owned[partition]}"


def _objections(origin: Origin, view: TopicView, *, carries: bool) -> Iterator[str]:
    for partition in sorted({*origin.offsets} - {*view.partitions}):
        yield f"partition {partition} is not there: the topic of today is another, or a smaller one"
    if carries and not origin.planned_to:
        yield "it had planned nothing that is not committed, so nothing can be carried"
    for partition, marks in sorted(view.watermarks.items()):
        start = origin.offsets.get(partition)
        if start is not None and start > marks.high:
            yield (
                f"partition {partition}: offset {start} lies beyond its end {marks.high}: the "
                "topic was created anew or truncated since, or the offsets are another cluster's"
            )
        elif carries and origin.planned_to.get(partition, 0) > marks.end:
            yield (
                f"partition {partition}: what was planned ends at {origin.planned_to[partition]}, "
                f"beyond {marks.end}, up to which Kafka lets it be read"
            )


def _doubts(ctx: Context, origin: Origin, beginnings: tuple[Beginning, ...]) -> Iterator[str]:
    """
    Read the record before each start: it was there when the other system planned last.

    One that is dated later is no record of that time: its topic is another, or a clock is wrong.
    """
    if origin.planned_at is None:
        return
    held = [one for one in beginnings if one.is_known and one.low < one.start <= one.end]
    for one in held[:_MOST_LOOKS]:
        latest_ms = (origin.planned_at + _CLOCKS).timestamp() * 1000
        before = OffsetRange(one.partition, one.start - 1, one.start)
        if any(record.timestamp_ms > latest_ms for record in ctx.reader(before)):
            yield (
                f"partition {one.partition}: the record at offset {one.start - 1} is dated later "
                f"than {origin.planned_at:%Y-%m-%d %H:%M:%S} UTC, when the other system planned "
                "last: the topic may have been created anew since, and pictures below be lost"
            )


def _named(partitions: list[int]) -> str:
    is_one = len(partitions) == 1
    names = ", ".join(map(str, partitions))
    return f"partition{'' if is_one else 's'} {names} {'is' if is_one else 'are'}"
