"""Accept, on a person's word, that a topic's offsets mean other images by now."""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from frameferry.domain.state import PipelineState
from frameferry.errors import ConfigError
from frameferry.kafka.cluster import TopicView
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world
from frameferry.pipeline.world.truncation import diverged_at

log = structlog.get_logger()


def accept_topic(ctx: Context, *, who: str, reason: str) -> dict[int, int]:
    """
    Go on with a topic that was created anew, or whose log was truncated, as the next generation.

    A new topic is read from its offset 0; one that this pipeline had before is read from where it
    was planned then. A truncated partition is read from where it differs from what the ledger
    knows, all others from where they were planned, whether or not they are the pipeline's share
    now.

    Returns:
        The first offset of each partition in the new generation.

    Raises:
        ConfigError: The topic is what it was; or no reason is given.
        KafkaUnavailable, TopicMissing: Nobody can say what the topic is.
    """
    if not reason.strip():
        msg = "a reason is needed: it is kept with your name"
        raise ConfigError(msg, remedy="Say it with --reason", pipeline=ctx.pipeline)
    known = world.state(ctx)
    view = _look(ctx, known)
    starts = _starts(ctx, known, view)
    ctx.ledger.accept_topic(
        ctx.pipeline,
        generation=known.generation,
        cluster_id=view.cluster_id,
        topic_id=view.topic_id,
        starts=starts,
        who=who,
        reason=reason,
    )
    log.warning(
        "topic.accepted", pipeline=ctx.pipeline, generation=known.generation + 1, starts=starts
    )
    return starts


def _look(ctx: Context, known: PipelineState) -> TopicView:
    topic, wanted = ctx.settings.kafka.topic, ctx.settings.kafka.partitions
    with ctx.cluster() as cluster:
        view = cluster.view(topic, None if wanted == "all" else wanted)
        all_known = {*view.watermarks, *known.progress} & {*view.partitions}
        if world.is_other_topic(known, view) or all_known == {*view.watermarks}:
            return view
        return cluster.view(topic, tuple(sorted(all_known)))


def _starts(ctx: Context, known: PipelineState, view: TopicView) -> dict[int, int]:
    if world.is_other_topic(known, view):
        before = ctx.ledger.planned_of_topic(
            ctx.pipeline, cluster_id=view.cluster_id, topic_id=view.topic_id
        )
        return {
            partition: min(before.get(partition, 0), marks.high)
            for partition, marks in view.watermarks.items()
        }
    starts: Mapping[int, int] = {
        partition: diverged_at(ctx, mine, view.watermarks[partition])
        for partition, mine in known.progress.items()
        if partition in view.watermarks
    }
    if all(start == known.progress[partition].planned for partition, start in starts.items()):
        msg = "the topic is the one that the ledger knows, and its logs are whole"
        raise ConfigError(msg, remedy="There is nothing to accept", pipeline=ctx.pipeline)
    return dict(starts)
