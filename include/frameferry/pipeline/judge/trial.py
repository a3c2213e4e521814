"""
Judge a batch, and when that fails find out why: the world, a gap, too much at once, or an image.

The symptom does not tell: one image may take the whole Spark server with it. So the world is asked
again first. Then pictures with a known answer are judged on the same route. Only what fails
although they pass is charged, split, and in the end convicted. What to do next follows from what
the ledger remembers, so that a crash at any point only repeats a trial.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import structlog

from frameferry.domain.batch import Batch, CountsAs
from frameferry.errors import (
    BatchTooBig,
    FrameferryError,
    JudgingFailed,
    JudgingTimedOut,
    KafkaThrottled,
    OffsetsLost,
    SparkLost,
    SparkOutOfMemory,
)
from frameferry.pipeline.context import Context
from frameferry.pipeline.judge.company import company
from frameferry.pipeline.judge.judging import judge_and_record, quarantine_unjudged, run_control
from frameferry.pipeline.world import losing, world
from frameferry.planning.splitting import Ranges, split, split_at
from frameferry.planning.trials import Trial, next_trial

_MOST_DOUBLINGS = 6
"""Of the time for one offset held back by a quota: hours, at the default."""
Outcome = Literal["judged", "split"]

log = structlog.get_logger()


def judge_batch(ctx: Context, batch: Batch) -> Outcome:
    """
    Bring a claimed batch without predictions to its rows, or to its pieces.

    Returns:
        "split" if it ended in favour of its pieces, which later runs carry.

    Raises:
        FrameferryError: It is the world's trouble, or the batch may be tried once more first.
    """
    seen = world.observe(ctx)
    # Only what was still there in this generation may be read in it.
    generation = seen.generation
    if losing.cut_lost(ctx, batch, seen):
        return "split"
    while True:
        trial = _next(ctx, batch)
        if trial is Trial.JUDGE:
            startup = ctx.settings.spark.startup_seconds
        else:
            startup = _controlled(ctx, batch)
        if trial is Trial.CONTROL_THEN_SPLIT:
            return _halved(ctx, batch)
        if trial is Trial.CONTROL_THEN_QUARANTINE:
            why = batch.trouble.last_failure or "it failed alone, twice"
            quarantine_unjudged(ctx, batch, why=why, generation=generation)
            return "judged"
        is_proof = trial is Trial.CONTROL_THEN_JUDGE
        outcome = _tried(ctx, batch, startup, generation, is_proof=is_proof)
        if outcome is not None:
            return outcome
        batch = _afresh(ctx, batch)


def was_judged_alone(ctx: Context, batch: Batch) -> bool:
    """Say whether a judged batch is one offset, judged after a control that passed."""
    return batch.offsets == 1 and _next(ctx, batch) is not Trial.JUDGE


def _next(ctx: Context, batch: Batch) -> Trial:
    return next_trial(
        batch.trouble,
        offsets=batch.offsets,
        failures_before_split=ctx.settings.batch.failures_before_split,
    )


def _controlled(ctx: Context, batch: Batch) -> float:
    with company(ctx, batch, is_alone=batch.trouble.is_suspect):
        return run_control(ctx, batch)


def _tried(
    ctx: Context, batch: Batch, startup: float, generation: int, *, is_proof: bool
) -> Outcome | None:
    """
    Judge once.

    Returns:
        None if it failed in a way that needs action at once.
    """
    around = company(ctx, batch, is_alone=batch.trouble.is_suspect)
    try:
        with around as others:
            _judge_patiently(ctx, batch, startup, generation)
    except BatchTooBig as error:
        return _parted(ctx, batch, error)
    except SparkOutOfMemory as error:
        return _cut_smaller(ctx, batch, error)
    except KafkaThrottled as error:
        return _slowed(ctx, batch, error)
    except (JudgingFailed, SparkLost, OffsetsLost) as error:
        if losing.cut_lost(ctx, batch):
            return "split"
        if isinstance(error, OffsetsLost):
            raise
        _count(ctx, batch, error, was_shared=others.was_shared, is_proof=is_proof)
        if _next(ctx, _afresh(ctx, batch)) is Trial.JUDGE or others.was_shared:
            raise
        return None
    return "judged"


def _judge_patiently(ctx: Context, batch: Batch, startup: float, generation: int) -> None:
    """Judge. One offset held back by a quota gets ever more time, since it cannot be cut."""
    for doubled in range(_MOST_DOUBLINGS + 1):
        try:
            patience = startup * 2**doubled
            judge_and_record(ctx, batch, startup_seconds=patience, generation=generation)
        except KafkaThrottled as error:
            if batch.offsets > 1 or doubled == _MOST_DOUBLINGS:
                raise
            log.warning("judging.throttled", pipeline=ctx.pipeline, batch=batch.id, why=error.what)
        else:
            return


def _count(
    ctx: Context, batch: Batch, error: FrameferryError, *, was_shared: bool, is_proof: bool
) -> None:
    times = 1
    if was_shared:
        counts_as: CountsAs = "company"
    elif is_proof and batch.offsets == 1:
        counts_as = "proof"
    else:
        counts_as = "failure"
        if isinstance(error, JudgingTimedOut):
            # Waiting as long for the same again is the one thing that cannot help.
            times = ctx.settings.batch.failures_before_split
    ctx.ledger.count_failure(batch.token, counts_as, times=times, error=str(error))
    log.warning(
        "judging.failed",
        pipeline=ctx.pipeline,
        batch=batch.id,
        counts_as=counts_as,
        error=str(error),
    )


def _afresh(ctx: Context, batch: Batch) -> Batch:
    """Read what the ledger counts by now, and keep our own token: it may be overtaken."""
    return replace(ctx.ledger.batch(batch.id), token=batch.token)


def _halved(ctx: Context, batch: Batch) -> Outcome:
    trouble = batch.trouble
    why = f"it failed {trouble.failures} times where a control passed: {trouble.last_failure}"
    return _split(ctx, batch, split(batch.ranges), why, is_charged=True)


def _cut_smaller(ctx: Context, batch: Batch, error: SparkOutOfMemory) -> Outcome:
    """
    Halve a batch that was too much for Spark's memory; no picture is at fault.

    Raises:
        SparkOutOfMemory: Less of it would not help: it is one offset, or the control fails as well.
    """
    if batch.offsets == 1:
        raise error
    _controlled(ctx, batch)
    return _split(ctx, batch, split(batch.ranges), error.what, is_charged=False)


def _slowed(ctx: Context, batch: Batch, error: KafkaThrottled) -> Outcome:
    """
    Halve a batch that a quota let through too slowly; no picture is at fault.

    Raises:
        KafkaThrottled: It is one offset, and had more time than any batch.
    """
    if batch.offsets == 1:
        raise error
    return _split(ctx, batch, split(batch.ranges), error.what, is_charged=False)


def _parted(ctx: Context, batch: Batch, error: BatchTooBig) -> Outcome:
    pieces = split_at(batch.ranges, error.partition, error.offset)
    return _split(ctx, batch, pieces, error.what, is_charged=False)


def _split(
    ctx: Context, batch: Batch, pieces: tuple[Ranges, ...], why: str, *, is_charged: bool
) -> Outcome:
    children = ctx.ledger.split_batch(batch.token, pieces=pieces, is_charged=is_charged, why=why)
    log.warning("batch.split", pipeline=ctx.pipeline, batch=batch.id, children=children, why=why)
    return "split"
