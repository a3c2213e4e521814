"""The alarms of a pipeline: each is one trouble and what to do; none if it is healthy."""

from __future__ import annotations

from dataclasses import replace

from frameferry.config.home import kept_copies_folder
from frameferry.domain.alarms import Alarm, AlarmKind
from frameferry.domain.state import Overview, PipelineState
from frameferry.errors import FrameferryError
from frameferry.kafka.throttling import REMEDY
from frameferry.operations.alarms import (
    Limits,
    alarms,
    forgetting,
    hanging,
    nobody_carries,
    not_kept,
)
from frameferry.operations.shares import drifting, quarantining
from frameferry.operations.watching import Seen, figures_of
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import witness
from frameferry.pipeline.world.world import adopting, is_other_topic
from frameferry.planning.gaps import find_truncated


def advice(
    ctx: Context, overview: Overview, seen: Seen, *, unowned: tuple[int, ...]
) -> tuple[Alarm, ...]:
    """
    List what a person should look at.

    Args:
        ctx: The pipeline.
        overview: What the ledger said, before Kafka was asked.
        seen: What Kafka said.
        unowned: The partitions of its topic that no pipeline owns (`unowned_partitions`).
    """
    return tuple(_alarms(ctx, overview, seen, unowned))


def _alarms(ctx: Context, overview: Overview, seen: Seen, unowned: tuple[int, ...]) -> list[Alarm]:
    known = overview.state
    found = [
        *([Alarm(AlarmKind.KAFKA_UNASKED, seen.trouble)] if seen.trouble else []),
        *_owned_by_others(ctx, overview, seen),
    ]
    if known is None:
        return [*found, Alarm(AlarmKind.NEVER_PLANNED, _first_act(ctx))]
    return [
        *found,
        *(_replaced(ctx, known, seen) or _objections(ctx, known, seen)),
        *_blocked(ctx, known),
        *_failing(known),
        *_alone(ctx, overview),
        *_remarked(overview),
        *_throttled(seen),
        *_lost(overview),
        *_truncated(ctx, known, seen),
        *_held_back(known, seen),
        *alarms(seen.figures, _limits(ctx)),
        *quarantining(ctx.pipeline, overview.last_hour, ctx.settings.watch),
        *drifting(overview.recent, overview.before, ctx.settings.watch),
        *_unkept(ctx, overview, known, seen),
        *nobody_carries(ctx.settings.kafka.topic, unowned),
    ]


def _first_act(ctx: Context) -> str:
    if ctx.settings.kafka.start == "adopt":
        return f"The pipeline waits to be adopted. {adopting(ctx)}"
    return f"Nothing was planned yet. Run: frameferry run {ctx.pipeline}"


def _replaced(ctx: Context, known: PipelineState, seen: Seen) -> list[Alarm]:
    """Say that another topic has this name, without a mirror yet; a block says so by itself."""
    if seen.view is None or not is_other_topic(known, seen.view) or known.blocked is not None:
        return []
    line = (
        f"Topic {ctx.settings.kafka.topic} is another than the ledger's (id {seen.view.topic_id}, "
        f"recorded {known.topic_id}): its offsets mean other images. To go on with it, run: "
        f"frameferry topic accept {ctx.pipeline} --reason …"
    )
    return [Alarm(AlarmKind.TOPIC_REPLACED, line)]


def _objections(ctx: Context, known: PipelineState, seen: Seen) -> list[Alarm]:
    """Say what the witness has against the ledger; a silent Kafka is not asked again."""
    if seen.trouble is not None:
        return []
    try:
        objection = witness.objection(ctx, known)
    except FrameferryError as error:
        return [Alarm(AlarmKind.KAFKA_UNASKED, str(error.at(pipeline=ctx.pipeline)))]
    if objection is None:
        return []
    line = f"Nothing runs: {objection.what}. {objection.remedy}"
    return [Alarm(AlarmKind.LEDGER_DOUBTED, line)]


def _blocked(ctx: Context, known: PipelineState) -> list[Alarm]:
    if known.blocked is None:
        return []
    remedy = f"Put it right, then run: frameferry unblock {ctx.pipeline}"
    return [Alarm(AlarmKind.BLOCKED, f"Blocked: {known.blocked.reason}. {remedy}")]


def _failing(known: PipelineState) -> list[Alarm]:
    return [
        Alarm(
            AlarmKind.BATCH_FAILING,
            f"Batch {leaf.id} failed last: {leaf.last_error}",
            batch=leaf.id,
        )
        for leaf in known.open_batches
        if leaf.last_error
    ]


def _alone(ctx: Context, overview: Overview) -> list[Alarm]:
    """Say what was learnt of the way to the server, until the connection itself says it."""
    if not overview.asked_alone:
        return []
    try:
        connection = ctx.ftp
    except FrameferryError:
        return []
    if connection.pipelining != "auto" or connection.digest not in overview.asked_alone:
        return []
    line = (
        f"Data addresses of connection {connection.conn_id} are asked for alone: a firewall misses "
        "them else. Nothing is lost by it. Once its extra pipelining is alone, this is said no more"
    )
    return [Alarm(AlarmKind.ASKED_ALONE, line)]


def _remarked(overview: Overview) -> list[Alarm]:
    if overview.remark is None:
        return []
    batch, words = overview.remark
    return [Alarm(AlarmKind.REMARK, f"Batch {batch}: {words}", batch=batch)]


def _throttled(seen: Seen) -> list[Alarm]:
    if not seen.throttled_seconds:
        return []
    line = (
        f"Kafka's quota held back answers for {seen.throttled_seconds:.1f} s: reading is slow, and "
        f"the age of what waits may be missing here. {REMEDY}"
    )
    return [Alarm(AlarmKind.QUOTA, line)]


def _lost(overview: Overview) -> list[Alarm]:
    return [
        Alarm(
            AlarmKind.OFFSETS_LOST,
            f"{gap.end - gap.start} offsets of partition {gap.partition} from {gap.start} on "
            f"are lost ({gap.cause}). If that is all right, run: "
            f"frameferry gaps accept {gap.id} --reason …",
            about=f"gap {gap.id}",
            partition=gap.partition,
            offset=gap.start,
        )
        for gap in overview.open_gaps
    ]


def _owned_by_others(ctx: Context, overview: Overview, seen: Seen) -> list[Alarm]:
    """Name the pipelines that own partitions this one wants as well."""
    known = overview.state
    mine = known.progress if known else {}
    wanted = [partition for partition in seen.watermarks if partition not in mine]
    if seen.view is None or not wanted:
        return []
    is_known = known is not None and not is_other_topic(known, seen.view)
    owned = (
        overview.owners
        if is_known
        else ctx.ledger.owned_partitions(seen.view.cluster_id, seen.view.topic_id)
    )
    return [
        Alarm(
            AlarmKind.PARTITION_TAKEN,
            f"Partition {partition} belongs to pipeline {owned[partition]}. "
            "Give each pipeline partitions of its own (kafka.partitions)",
            about=str(partition),
            partition=partition,
        )
        for partition in wanted
        if owned.get(partition, ctx.pipeline) != ctx.pipeline
    ]


def _truncated(ctx: Context, known: PipelineState, seen: Seen) -> list[Alarm]:
    if seen.view is None or is_other_topic(known, seen.view):
        return []
    return [
        Alarm(
            AlarmKind.LOG_TRUNCATED,
            f"Partition {partition} ends at {seen.watermarks[partition].high}, below its planned "
            f"offset {known.progress[partition].planned}: the log was truncated. To go on, run: "
            f"frameferry topic accept {ctx.pipeline} --reason …",
            about=str(partition),
            partition=partition,
            offset=seen.watermarks[partition].high,
        )
        for partition in find_truncated(known.progress, seen.watermarks)
    ]


def _held_back(known: PipelineState, seen: Seen) -> list[Alarm]:
    said = (
        hanging(partition, seen.watermarks[partition].held_back, since, known.now)
        for partition, since in sorted(seen.held_since.items())
    )
    return [alarm for alarm in said if alarm]


def _unkept(ctx: Context, overview: Overview, known: PipelineState, seen: Seen) -> list[Alarm]:
    """Say what is in quarantine without a kept copy; where nothing is open nobody is asked."""
    if not overview.counts.reasons or seen.view is None or not seen.waiting:
        return []
    lows = {partition: marks.low for partition, marks in seen.watermarks.items()}
    found = ctx.ledger.unkept(ctx.pipeline, lows)
    number = sum(one.number for one in found.values())
    waiting = {
        partition: replace(
            seen.waiting[partition],
            lag=seen.watermarks[partition].end - one.first_offset,
            oldest_at=one.oldest_at,
            offset=one.first_offset,
            lags=(),
        )
        for partition, one in found.items()
    }
    figures = figures_of(ctx, waiting, seen.view, known)
    folder, limit = kept_copies_folder(ctx.pipeline), ctx.settings.quarantine.keep_bytes
    return [
        *not_kept(number, limit, folder),
        *forgetting(number, figures, ctx.settings.watch.retention_hours),
    ]


def _limits(ctx: Context) -> Limits:
    return Limits(
        retention_hours=ctx.settings.watch.retention_hours,
        freshness_minutes=ctx.settings.watch.freshness_minutes,
        target_seconds=ctx.settings.batch.target_seconds,
    )


def unowned_partitions(ctx: Context, overview: Overview, seen: Seen) -> tuple[int, ...] | None:
    """
    List the topic's unowned partitions; a pipeline of all partitions takes new ones.

    None if nobody can tell: before the first plan, or while Kafka is silent.
    """
    if ctx.settings.kafka.partitions == "all":
        return ()
    if overview.state is None or seen.view is None:
        return None
    return tuple(one for one in seen.view.partitions if one not in overview.owners)
