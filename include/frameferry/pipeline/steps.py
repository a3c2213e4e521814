"""
The steps of one batch, and those around it. Airflow, the command line and the tests call these.

    wait → plan → (infer → deliver → commit)* → publish, verdict

Each may be called again at any time, in any process: what was done is read from the ledger, and
what is written there is fenced by the batch's newest attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

import structlog

from frameferry.domain.batch import Batch
from frameferry.domain.state import PipelineState, Readiness
from frameferry.errors import (
    BatchUnfinished,
    ConnectionMissing,
    ConnectionUnresolved,
    NotAdopted,
    PredictionsIncomplete,
    RecordChanged,
    TopicChanged,
    TopicCompacted,
)
from frameferry.kafka.cluster import TopicView
from frameferry.pipeline.context import Context
from frameferry.pipeline.deliver import delivering
from frameferry.pipeline.deliver.login import misplaced
from frameferry.pipeline.judge.trial import Outcome, judge_batch
from frameferry.pipeline.lease import held
from frameferry.pipeline.proposing import Proposal, propose
from frameferry.pipeline.world import witness, world
from frameferry.pipeline.world.renewing import look_after
from frameferry.planning.gaps import find_gaps
from frameferry.planning.readiness import leaves_to_take, readiness

MOST_LEAVES = 256
"""
What one run takes on. Airflow refuses to expand a task over more than 1,024 items
(`max_map_length`), and one batch may be split into thousands.
"""

log = structlog.get_logger()
P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def _step(
    work: Callable[Concatenate[Context, P], ResultT],
) -> Callable[Concatenate[Context, P], ResultT]:
    """Let each step resolve its connections anew, once: they may have changed since the last."""

    @wraps(work)
    def step(ctx: Context, /, *args: P.args, **kwargs: P.kwargs) -> ResultT:
        return work(ctx.anew(), *args, **kwargs)

    return step


@dataclass(frozen=True, slots=True)
class Planned:
    """
    The batches to work on now, oldest first, and the planner's sentence for each new one.

    At most MOST_LEAVES batches: the next run takes the others.
    """

    batch_ids: tuple[int, ...]
    sentences: tuple[str, ...]


@_step
def wait(ctx: Context) -> Readiness:
    """
    Say whether there is work plannable now, by the same rules that plan follows.

    Backlog held up by a block, a back-off, a lease or a gap does not count. While there is no work,
    the mirror is renewed now and then, since Kafka would forget it otherwise.
    """
    try:
        seen = world.observe_or_block(ctx, world.known_and_free(ctx))
    except (NotAdopted, TopicChanged, TopicCompacted) as waits:
        return Readiness(now=False, reason=str(waits), retry_in_seconds=None)
    found = readiness(seen.known, seen.view.watermarks, max_open=ctx.settings.batch.max_open)
    # Asked last, and only if a run would begin: a run that plan refuses would begin again for ever.
    trouble = witness.objection(ctx, seen.known) if found.now else look_after(ctx)
    if trouble is not None:
        return Readiness(now=False, reason=str(trouble), retry_in_seconds=None)
    return found


@_step
def plan(ctx: Context) -> Planned:
    """
    Cut new offset ranges while fewer than `max_open` batches are open; return the open leaves.

    1. Ask Kafka: topic id, watermarks. 2. Ask the witness, and put it in place if the pipeline or a
    partition is new. 3. Record what retention took as gaps. 4. Propose and freeze ranges by
    compare-and-swap on the planned offsets, until enough batches are open.

    Raises:
        PipelineBlocked: A person or a new credential has to free the pipeline first.
        NotAdopted: A person has to say first where another system stopped.
        LedgerOutdated: The ledger is older than the world; a person recovers it first.
        WitnessMissing: The mirror is gone; a person confirms the ledger, or recovers it.
        PlanStale: Another planner was faster; its batches are found at the next try.
    """
    seen = world.observe_or_block(ctx, world.refuse_if_blocked(ctx))
    heard = witness.hear(ctx, seen.known)
    state = world.state(ctx)
    witness.refuse_older(state, heard)
    witness.put_in_place(ctx, state, heard)
    state = _gaps_recorded(ctx, state, seen.view)
    sentences = []
    while proposal := _proposal(ctx, state, seen.view):
        batch_id = ctx.ledger.add_batch(
            ctx.pipeline,
            ranges=proposal.ranges,
            sentence=proposal.sentence,
            config_digest=ctx.settings.digest,
        )
        log.info(
            "batch.planned",
            pipeline=ctx.pipeline,
            batch=batch_id,
            sentence=proposal.sentence,
            ranges=[str(wanted) for wanted in proposal.ranges],
        )
        sentences.append(proposal.sentence)
        state = world.state(ctx)
    leaves = leaves_to_take(state)[:MOST_LEAVES]
    return Planned(tuple(leaf.id for leaf in leaves), tuple(sentences))


def _gaps_recorded(ctx: Context, state: PipelineState, view: TopicView) -> PipelineState:
    """Record what retention took unread; return the state after that."""
    gaps = find_gaps(state.progress, view.watermarks)
    for gap in gaps:
        ctx.ledger.record_gap(
            ctx.pipeline, partition=gap.partition, start=gap.start, end=gap.end, cause=gap.cause
        )
        log.warning(
            "gap.found",
            pipeline=ctx.pipeline,
            partition=gap.partition,
            start=gap.start,
            end=gap.end,
        )
    return world.state(ctx) if gaps else state


def _proposal(ctx: Context, state: PipelineState, view: TopicView) -> Proposal | None:
    return propose(
        ctx.settings,
        state,
        view.watermarks,
        largest_record_bytes=view.largest_record_bytes,
    )


@_step
def infer(ctx: Context, batch_id: int) -> Outcome:
    """
    Judge a batch once: all its rows, each with its frozen remote path, in one transaction.

    Does nothing if the rows already stand. Rows that name another server or base than the pipeline
    delivers to now are made anew, as long as no file can be there yet. A batch ends in favour of
    its pieces if it cannot be judged, or if Kafka lost a part of it.

    Returns:
        "split" if the batch has ended: the next plan returns its pieces.

    Raises:
        ConnectionMissing, ConnectionUnresolved: Nobody can say where the files would go; nothing
            was judged.
    """
    found = ctx.ledger.batch(batch_id)
    ctx = ctx.delivering_into(found.into)
    if found.split_at is not None:
        return "split"
    if found.inferred_at is not None and not _may_move(ctx, found):
        log.info("batch.already_judged", pipeline=ctx.pipeline, batch=batch_id)
        return "judged"
    world.refuse_if_blocked(ctx)
    with held(ctx, batch_id) as batch:
        # If the connection that the rows' paths need is missing, fail before a whole batch is
        # judged.
        _ = ctx.ftp
        if batch.inferred_at is None or _moves(ctx, batch):
            return judge_batch(ctx, batch)
        return "judged"


def _may_move(ctx: Context, judged: Batch) -> bool:
    """Look without a claim. If that fails, say yes: it fails again under a claim, and backs off."""
    try:
        return _must_move(ctx, judged)
    except (ConnectionMissing, ConnectionUnresolved):
        return True


def _must_move(ctx: Context, judged: Batch) -> bool:
    # A person was shown what a replay does: it does not change afterwards.
    is_open = judged.delivered_at is None and judged.kind == "live"
    return is_open and misplaced(ctx, judged.id) is not None


def _moves(ctx: Context, judged: Batch) -> bool:
    return _must_move(ctx, judged) and ctx.ledger.withdraw_untouched(judged.token)


@_step
def deliver(ctx: Context, batch_id: int) -> None:
    """
    Read the batch's ranges again, to their end by position, and publish every image that is due.

    Does nothing if the batch is delivered already, or has ended in favour of its pieces.

    Raises:
        PredictionsIncomplete: It is not judged (yet, or any more). The last error that the ledger
            holds stays, since it says why.
    """
    found = ctx.ledger.batch(batch_id)
    ctx = ctx.delivering_into(found.into)
    if found.split_at is not None:
        log.info("batch.was_split", pipeline=ctx.pipeline, batch=batch_id)
        return
    if found.delivered_at is not None:
        log.info("batch.already_delivered", pipeline=ctx.pipeline, batch=batch_id)
        return
    world.refuse_if_blocked(ctx)
    if found.inferred_at is None:
        msg = "the batch is not judged yet, so nothing of it can be delivered"
        remedy = "The next run's infer judges it"
        raise PredictionsIncomplete(msg, remedy=remedy, pipeline=ctx.pipeline, batch=batch_id)
    with held(ctx, batch_id) as batch:
        if batch.delivered_at is None:
            try:
                delivering.deliver_batch(ctx, batch)
            except RecordChanged as changed:
                # Only a person can say which of the two is the image that was meant.
                world.block(ctx, changed)
                raise


@_step
def commit(ctx: Context, batch_id: int) -> dict[int, int]:
    """
    Move the committed offsets along the contiguous chain of finished ranges.

    A batch that is finished before an earlier one is a success: the chain moves later.

    Returns:
        The committed (next) offset of each partition after the call.

    Raises:
        BatchUnfinished: The batch itself has no census yet.
    """
    found = ctx.ledger.batch(batch_id)
    if found.split_at is not None:
        log.info("batch.was_split", pipeline=ctx.pipeline, batch=batch_id)
        return ctx.ledger.committed_offsets(ctx.pipeline)
    if found.committed_at is not None:
        log.info("batch.already_committed", pipeline=ctx.pipeline, batch=batch_id)
        return ctx.ledger.committed_offsets(ctx.pipeline)
    committed = ctx.ledger.commit(batch_id)
    log.info("batch.committed", pipeline=ctx.pipeline, batch=batch_id, committed=committed)
    return committed


@_step
def publish(ctx: Context) -> dict[int, int]:
    """
    Mirror the committed offsets to the consumer group: a mirror and a witness, not the truth.

    Raises:
        LedgerOutdated: The mirror knows more than the ledger, and must not forget it.
        WitnessMissing: The mirror is gone; a person confirms the ledger, or recovers it.
    """
    known = ctx.ledger.pipeline_state(ctx.pipeline)
    return witness.testify(ctx, known) if known else {}


@_step
def verdict(ctx: Context, batch_ids: Sequence[int]) -> None:
    """
    Fail if a batch of this run is not finished, whatever its tasks' colours say.

    Raises:
        BatchUnfinished: Names the batches.
    """
    unfinished = ctx.ledger.unfinished(ctx.pipeline, batch_ids)
    if unfinished:
        names = ", ".join(map(str, unfinished))
        msg = f"{len(unfinished)} of {len(batch_ids)} batches are not finished: {names}"
        is_replay = ctx.ledger.batch(unfinished[0]).kind == "replay"
        goes_on = "The same replay again goes on" if is_replay else "The next run goes on"
        remedy = f"{goes_on} with them; see: frameferry status {ctx.pipeline}"
        raise BatchUnfinished(msg, remedy=remedy, pipeline=ctx.pipeline)
