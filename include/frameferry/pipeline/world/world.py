"""Ask the world before acting: Kafka's topic and watermarks, the ledger's blocks."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from frameferry.domain.state import PipelineState
from frameferry.errors import (
    FrameferryError,
    LedgerConflict,
    LogExchanged,
    NotAdopted,
    PipelineBlocked,
    TopicChanged,
)
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.kafka.start import start_offsets
from frameferry.pipeline.context import Context
from frameferry.pipeline.world.truncation import refuse_truncated

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class World:
    """
    What Kafka shows of the topic, and what the ledger knows.

    `generation` is the ledger's, read before Kafka was asked: what is still there was in it.
    """

    view: TopicView
    known: PipelineState
    generation: int


def observe(ctx: Context, known: PipelineState | None = None) -> World:
    """
    Ask Kafka for the topic, and make sure that the ledger knows every partition of ours.

    A partition first seen after the start begins at 0, so that a low watermark above 0 is a gap.

    Args:
        ctx: The pipeline.
        known: The ledger as it was read a moment ago; None: it is read now.

    Raises:
        KafkaUnavailable: No broker answered in time.
        NotAdopted: It is to begin where another system stopped, and nobody said where that is.
        TopicMissing: The topic or a partition does not exist.
        TopicChanged: Another topic now has this name, or its log was truncated.
        TopicCompacted: Records vanish from it unread.
    """
    wanted = ctx.settings.kafka.partitions
    # The ledger first: what another process plans meanwhile must not look like a log's end.
    known = known or ctx.ledger.pipeline_state(ctx.pipeline)
    with ctx.cluster() as cluster:
        view = cluster.view(ctx.settings.kafka.topic, None if wanted == "all" else wanted)
        starts = _starts(ctx, cluster, view, known)
    if known is None or starts or is_other_topic(known, view):
        _register(ctx, view, starts)
        before, known = known, state(ctx)
    else:
        before = known
    # A topic accepted meanwhile must not be compared with what the ledger knew of the old one.
    if before is not None and not is_other_topic(before, view):
        refuse_truncated(ctx, before, view)
    return World(view, known, (before or known).generation)


def refuse_other_topic(ctx: Context, view: TopicView) -> None:
    """
    Make sure that what was seen is the topic that the ledger has by now.

    Raises:
        TopicChanged: It is another.
    """
    _register(ctx, view, {})


def _register(ctx: Context, view: TopicView, starts: dict[int, int]) -> None:
    ctx.ledger.register_pipeline(
        ctx.pipeline,
        cluster_id=view.cluster_id,
        topic=ctx.settings.kafka.topic,
        topic_id=view.topic_id,
        starts=starts,
    )


def refuse_exchanged(ctx: Context, generation: int) -> None:
    """
    Make sure that a read by name and offset read what was meant throughout.

    It did if the topic still is the one that the ledger knows, and no generation began meanwhile. A
    topic's id never comes back, so a topic that still lives has lived all the time.

    Args:
        ctx: The pipeline.
        generation: The ledger's, read before the records were found to be still there.

    Raises:
        TopicChanged: Another topic has this name: a person must accept it.
        LogExchanged: A person has accepted another log meanwhile; the next attempt goes by that.
        KafkaUnavailable, TopicMissing: Nobody can say; what was read does not count.
    """
    observe(ctx)
    # Read once more: it may have been accepted while Kafka was asked.
    now = state(ctx).generation
    if now != generation:
        msg = (
            f"generation {now} began while offsets of generation {generation} were read; "
            "what was read is thrown away"
        )
        remedy = "The next attempt ends in gaps what the log holds no longer"
        raise LogExchanged(msg, remedy=remedy, pipeline=ctx.pipeline)


def observe_or_block(ctx: Context, known: PipelineState | None = None) -> World:
    """
    Observe before anything is planned; block the pipeline if a person has to accept something.

    Raises:
        TopicChanged: As `observe`; nothing runs until a person has accepted it.
    """
    try:
        return observe(ctx, known)
    except TopicChanged as error:
        block(ctx, error)
        raise


def block(ctx: Context, error: FrameferryError) -> None:
    """Let nothing run until a person acts; a pipeline that was never planned has nothing to run."""
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    words = f"{error.what}. {error.remedy}" if error.remedy else error.what
    if known is not None and (known.blocked is None or known.blocked.reason != words):
        ctx.ledger.block(ctx.pipeline, reason=words, digest=None)


def is_other_topic(known: PipelineState | None, view: TopicView) -> bool:
    """Say whether the topic or cluster differs from the ledger's."""
    return known is not None and (known.topic_id, known.cluster_id) != (
        view.topic_id,
        view.cluster_id,
    )


def adopting(ctx: Context) -> str:
    """Say how a pipeline that waits to be adopted is adopted."""
    return (
        "Say where another system stopped, with --dry-run first: frameferry adopt "
        f"{ctx.pipeline} --spark-checkpoint, --group, --connect-offsets or --offsets"
    )


def _starts(
    ctx: Context, cluster: Cluster, view: TopicView, known: PipelineState | None
) -> dict[int, int]:
    if known is None:
        try:
            return start_offsets(ctx.settings.kafka, cluster, view)
        except NotAdopted as error:
            raise error.at(pipeline=ctx.pipeline).advise(adopting(ctx)) from None
    return {partition: 0 for partition in view.watermarks if partition not in known.progress}


def state(ctx: Context) -> PipelineState:
    """
    Read the pipeline's state from the ledger.

    Raises:
        LedgerConflict: The ledger does not know the pipeline (nothing was planned yet).
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    if known is None:
        msg = "the ledger does not know this pipeline yet"
        raise LedgerConflict(
            msg, remedy=f"Run: frameferry run {ctx.pipeline}", pipeline=ctx.pipeline
        )
    return known


def known_and_free(ctx: Context) -> PipelineState | None:
    """
    Read the pipeline's state; None before its first plan.

    It lifts a block first if the credential of the connection named there has changed.
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    digest = known.blocked.digest if known and known.blocked else None
    if digest is None or digest == ctx.ftp.digest:
        return known
    why = "the connection's credential changed"
    ctx.ledger.free_of(ctx.pipeline, digest=digest, who=why)
    log.info("pipeline.unblocked", pipeline=ctx.pipeline, reason=why)
    return state(ctx)


def refuse_if_blocked(ctx: Context) -> PipelineState | None:
    """
    Refuse a pipeline that a person or a new credential has to free first.

    Returns:
        The pipeline's state; None before its first plan.

    Raises:
        PipelineBlocked: Says why, since when, and what frees it.
    """
    known = known_and_free(ctx)
    block = known.blocked if known else None
    if block is None:
        return known
    msg = f"blocked since {block.since:%Y-%m-%d %H:%M:%S} UTC: {block.reason}"
    raise PipelineBlocked(
        msg,
        remedy=f"Put it right, then run: frameferry unblock {ctx.pipeline}",
        pipeline=ctx.pipeline,
    )
