"""What Kafka lost of an open batch: retention overtook its frozen ranges."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from frameferry.domain.batch import Batch
from frameferry.domain.offsets import OffsetRange
from frameferry.pipeline import world
from frameferry.pipeline.context import Context
from frameferry.planning.gaps import RETENTION, cut_at_low

log = structlog.get_logger()


def cut_lost(ctx: Context, batch: Batch) -> bool:
    """
    Split a batch without predictions at the low watermarks: below gaps, above what goes on.

    Returns:
        Whether anything was lost, and the batch so has ended.

    Raises:
        KafkaUnavailable, TopicChanged: Nobody can say what is lost.
    """
    lost, left = cut_at_low(batch.ranges, world.look(ctx).watermarks)
    if not lost:
        return False
    words = ", ".join(map(str, lost))
    children = ctx.ledger.split_batch(
        batch.token,
        pieces=[left],
        lost=[(OffsetRange(gap.partition, gap.start, gap.end), gap.cause) for gap in lost],
        is_charged=False,
        why=words,
    )
    log.warning("batch.cut", pipeline=ctx.pipeline, batch=batch.id, lost=words, children=children)
    return True


def give_up_lost(ctx: Context, batch: Batch) -> Mapping[int, int]:
    """
    End the rows of a judged batch whose bytes Kafka no longer holds, in gaps.

    Returns:
        Where each partition's log begins now: what is read from there on is all there is.

    Raises:
        KafkaUnavailable, TopicChanged: Nobody can say what is lost.
    """
    lows = {partition: marks.low for partition, marks in world.look(ctx).watermarks.items()}
    if any(lows.get(wanted.partition, 0) > wanted.start for wanted in batch.ranges):
        lost = ctx.ledger.record_losses(batch.token, lows, cause=RETENTION)
        log.warning("batch.lost_images", pipeline=ctx.pipeline, batch=batch.id, images=lost)
    return lows
