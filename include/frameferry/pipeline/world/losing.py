"""What Kafka lost of an open batch: retention overtook it, or another log has its offsets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from frameferry.domain.batch import Batch
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.kafka.cluster import TopicView
from frameferry.pipeline.context import Context
from frameferry.pipeline.world.world import World, observe, refuse_other_topic
from frameferry.planning.gaps import REPLACED, Gap, cut_at_end, cut_at_low

log = structlog.get_logger()


def cut_lost(ctx: Context, batch: Batch, seen: World | None = None) -> bool:
    """
    Split a batch without predictions if Kafka lost a part of it: gaps, and what goes on.

    Args:
        ctx: The pipeline.
        batch: A claimed batch.
        seen: The world as it was observed a moment ago; None: it is observed now.

    Returns:
        Whether anything was lost, so that the batch has ended.

    Raises:
        KafkaUnavailable, TopicChanged: Nobody can say what is lost.
    """
    lost, left = _lost_and_left(ctx, batch, seen or observe(ctx))
    if not lost:
        return False
    words = ", ".join(map(str, lost))
    children = ctx.ledger.split_batch(
        batch.token, pieces=[left], lost=_causes(lost), is_charged=False, why=words
    )
    log.warning("batch.cut", pipeline=ctx.pipeline, batch=batch.id, lost=words, children=children)
    return True


def give_up_lost(ctx: Context, batch: Batch, seen: World) -> Sequence[OffsetRange]:
    """
    Turn a judged batch's rows into gaps if Kafka no longer holds their bytes.

    Returns:
        What is left to read of its ranges.

    Raises:
        KafkaUnavailable, TopicChanged: Nobody can say what is lost.
    """
    lost, left = _lost_and_left(ctx, batch, seen)
    if lost:
        images = ctx.ledger.record_losses(batch.token, _causes(lost))
        log.warning("batch.lost_images", pipeline=ctx.pipeline, batch=batch.id, images=images)
    return left


def _lost_and_left(
    ctx: Context, batch: Batch, seen: World
) -> tuple[tuple[Gap, ...], tuple[OffsetRange, ...]]:
    is_left_behind = batch.generation != seen.known.generation
    ends = ctx.ledger.superseded_from(ctx.pipeline, batch.generation) if is_left_behind else {}
    replaced, still = cut_at_end(batch.ranges, ends, cause=REPLACED)
    marks = {**seen.view.watermarks, **_of_others(ctx, seen.view, still)}
    expired, left = cut_at_low(still, marks)
    return (*replaced, *expired), left


def _of_others(
    ctx: Context, view: TopicView, ranges: Sequence[OffsetRange]
) -> Mapping[int, Watermarks]:
    """Ask for partitions that were taken out of the pipeline's file while a batch had them."""
    others = tuple({one.partition for one in ranges} & {*view.partitions} - {*view.watermarks})
    if not others:
        return {}
    with ctx.cluster() as cluster:
        seen = cluster.view(ctx.settings.kafka.topic, others)
    refuse_other_topic(ctx, seen)
    return seen.watermarks


def _causes(lost: Sequence[Gap]) -> list[tuple[OffsetRange, str]]:
    return [(OffsetRange(gap.partition, gap.start, gap.end), gap.cause) for gap in lost]
