"""The act: look, refuse or accept, begin in the ledger, and mirror."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import structlog

from frameferry.domain.adoption import Carried, Origin, Takeover
from frameferry.domain.offsets import Progress
from frameferry.domain.state import PipelineState
from frameferry.domain.wording import counted
from frameferry.errors import ConfigError
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.operations.adopting.survey import Beginning, Survey, survey, to_carry
from frameferry.pipeline.context import Context
from frameferry.pipeline.proposing import budget_of
from frameferry.pipeline.world import witness, world
from frameferry.planning.carrying import cut_carried

log = structlog.get_logger()
FindOrigin = Callable[[Context, Cluster, TopicView], Origin]


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """
    What a person decided.

    `carries` is to carry what the other system had planned as the first batches. `accepts_loss` is
    why what is lost, or may be, is all right; None if it is not. `again` replaces an earlier
    adoption of which nothing was planned yet.
    """

    carries: bool = False
    accepts_loss: str | None = None
    again: bool = False


@dataclass(frozen=True, slots=True)
class Adoption:
    """
    What `adopt` found, and did.

    `losses` are accepted, in a dry run perhaps not; `objections` are only in a dry run. `batches`
    is how many were frozen of what the other system had planned. `next` is the command to go on.
    """

    pipeline: str
    source: str
    topic: str
    topic_id: str
    partitions: tuple[Beginning, ...]
    notes: tuple[str, ...]
    losses: tuple[str, ...]
    objections: tuple[str, ...]
    batches: int
    dry_run: bool
    next: str


def adopt(
    ctx: Context, find: FindOrigin, decision: Decision, *, dry_run: bool, who: str
) -> Adoption:
    """
    Begin a pipeline exactly where another system stopped.

    1. Ask the ledger whether the pipeline has begun, and Kafka for the topic. 2. Find where the
    other system stopped, and compare. 3. Refuse what would lose or invent pictures. 4. Begin in the
    ledger, in one transaction, mirrored low before it and exactly after it.

    Args:
        ctx: The pipeline; the ledger need not know it.
        find: How to find where the other system stopped.
        decision: What the person decided.
        dry_run: Only look; objections are told instead of raised.
        who: The person.

    Raises:
        ConfigError: What the other system says cannot be read, or does not fit the topic; or it
            would lose pictures, and nobody accepted that.
        LedgerConflict: The pipeline has begun already, or another owns a partition.
        TopicChanged: The pipeline is recorded with another topic.
        KafkaUnavailable, TopicMissing: Nobody can say what the topic is.
    """
    if decision.accepts_loss is not None and not decision.accepts_loss.strip():
        msg = "a reason is needed: it is kept with your name"
        raise ConfigError(msg, remedy="Say it with --accept-loss", pipeline=ctx.pipeline)
    known = _beginner(ctx, decision)
    view, origin = _look(ctx, find, known)
    found = survey(ctx, origin, view, carries=decision.carries)
    carried = _carried(ctx, origin, view, found) if decision.carries else ()
    told = _told(ctx, origin, view, found, batches=len(carried))
    if dry_run:
        return told
    _refuse(ctx, found, decision)
    _announce(ctx, view, known, found.beginnings)
    _begin(ctx, told, view, carried=carried, decision=decision, who=who)
    return replace(told, dry_run=False, next=_mirrored(ctx, known) or told.next)


def _beginner(ctx: Context, decision: Decision) -> PipelineState | None:
    """Make sure that the pipeline has begun nothing, as far as ledger and witness know."""
    ctx.ledger.refuse_begun(ctx.pipeline, again=decision.again)
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    if known is not None:
        witness.refuse_if_older(ctx, known)
    return known


def _look(ctx: Context, find: FindOrigin, known: PipelineState | None) -> tuple[TopicView, Origin]:
    wanted = ctx.settings.kafka.partitions
    with ctx.cluster() as cluster:
        view = cluster.view(ctx.settings.kafka.topic, None if wanted == "all" else wanted)
        if known is not None:
            world.refuse_other_topic(ctx, view)
        try:
            return view, find(ctx, cluster, view)
        except ConfigError as error:
            raise error.at(pipeline=ctx.pipeline) from None


def _told(
    ctx: Context, origin: Origin, view: TopicView, found: Survey, *, batches: int
) -> Adoption:
    """Say what was found, as a dry run does."""
    return Adoption(
        pipeline=ctx.pipeline,
        source=origin.source,
        topic=ctx.settings.kafka.topic,
        topic_id=view.topic_id,
        partitions=found.beginnings,
        notes=found.notes,
        losses=found.losses,
        objections=found.objections,
        batches=batches,
        dry_run=True,
        next=f"frameferry run {ctx.pipeline}, or let Airflow run",
    )


def _carried(ctx: Context, origin: Origin, view: TopicView, found: Survey) -> tuple[Carried, ...]:
    budget = budget_of(ctx.settings, largest_record_bytes=view.largest_record_bytes)
    ranges = to_carry(found.beginnings)
    if found.objections or not ranges:
        return ()
    batches = cut_carried(ranges, budget)
    return tuple(
        Carried(
            batch,
            f"{counted(sum(one.length for one in batch), 'offset')}: part {number} of "
            f"{len(batches)} of what was planned elsewhere and not committed ({origin.source})",
        )
        for number, batch in enumerate(batches, start=1)
    )


def _refuse(ctx: Context, found: Survey, decision: Decision) -> None:
    if found.objections:
        remedy = "Nothing was changed. See all of it with --dry-run"
        raise ConfigError("; ".join(found.objections), remedy=remedy, pipeline=ctx.pipeline)
    if found.losses and decision.accepts_loss is None:
        remedy = "If that is all right, say why: --accept-loss REASON. Nothing was changed"
        raise ConfigError("; ".join(found.losses), remedy=remedy, pipeline=ctx.pipeline)


def _begin(
    ctx: Context,
    told: Adoption,
    view: TopicView,
    *,
    carried: tuple[Carried, ...],
    decision: Decision,
    who: str,
) -> None:
    starts = {one.partition: one.start for one in told.partitions}
    places = ", ".join(f"{partition}:{start}" for partition, start in starts.items())
    doubts = f"; accepted: {decision.accepts_loss}" if told.losses else ""
    wanted = Takeover(
        cluster_id=view.cluster_id,
        topic=told.topic,
        topic_id=view.topic_id,
        starts=starts,
        lost=tuple(one.lost for one in told.partitions if one.lost),
        reason=decision.accepts_loss or "",
        carried=carried,
        config_digest=ctx.settings.digest,
    )
    detail = f"{told.source}, at {places}{doubts}"
    ctx.ledger.adopt(ctx.pipeline, wanted, again=decision.again, who=who, detail=detail)
    log.info("pipeline.adopted", pipeline=ctx.pipeline, source=told.source, starts=starts)


def _announce(
    ctx: Context,
    view: TopicView,
    known: PipelineState | None,
    beginnings: tuple[Beginning, ...],
) -> None:
    """
    Mirror the pipeline before it begins, so low that the ledger is ahead whatever dies when.

    What is planned has a witness by that, also what is planned in the adoption itself.
    """
    if known is None:
        new = PipelineState(
            name=ctx.pipeline,
            generation=1,
            cluster_id=view.cluster_id,
            topic_id=view.topic_id,
            blocked=None,
            progress={one.partition: Progress(one.partition, 0, 0) for one in beginnings},
            open_batches=(),
            costs=(),
            now=datetime.now(UTC),
        )
        witness.put_in_place(ctx, new, witness.hear(ctx, new))
        return
    before = {partition: at.committed for partition, at in known.progress.items()}
    lowest = {one.partition: min(one.start, before.get(one.partition, 0)) for one in beginnings}
    progress = {at: Progress(at, offset, offset) for at, offset in lowest.items()}
    witness.vouch(ctx, replace(known, progress=progress))


def _mirrored(ctx: Context, known: PipelineState | None) -> str:
    """
    Mirror the adopted offsets, and say what is to be done first; nothing if all is well.

    A ledger that did not know the pipeline may be a new one in the place of one that was lost:
    what the group knows of that one stays, and is recovered.
    """
    trouble = witness.objection(ctx) if known is None else None
    if trouble is not None:
        return f"{trouble.what}. {trouble.remedy}"
    witness.vouch(ctx)
    return ""
