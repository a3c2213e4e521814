"""Judge a batch and freeze what was said: one row an image, each with its remote path."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import structlog

from frameferry.config.settings import ModelSettings, PipelineSettings
from frameferry.domain.batch import Batch
from frameferry.domain.naming import NameFields, join_base, name_flaw, remote_name
from frameferry.domain.records import UNJUDGED, Judged, NamedPrediction, Prediction, sha256_hex
from frameferry.errors import BatchTooBig
from frameferry.kafka import throttling
from frameferry.kafka.throttling import Throttling
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world
from frameferry.spark.job import ControlJob, JudgeJob

CANNOT_BE_JUDGED = "cannot be judged"
ILLEGAL_NAME = "illegal name"
EMPTY = "empty"
_DEADLINE_FACTOR = 10.0
_UNKNOWN_SECONDS_PER_OFFSET = 0.5
_PACED_BATCHES = 5
_WARM_SECONDS = 30.0
"""The least that a call may take, whatever the control before it took."""

log = structlog.get_logger()


def judge_and_record(
    ctx: Context, batch: Batch, *, startup_seconds: float, generation: int
) -> None:
    """
    Judge the batch on its route and record all rows in one fenced transaction.

    Args:
        ctx: The pipeline.
        batch: A claimed batch without predictions.
        startup_seconds: What Spark and the model may take before the first picture.
        generation: The ledger's, read before the batch was found to be still there.

    Raises:
        JudgingFailed, SparkUnavailable: The route failed; nothing was recorded.
        BatchTooBig: It holds more than `batch.max_bytes`; says where that is passed.
        KafkaThrottled: A quota holds back more than the deadline allows.
        TopicChanged, LogExchanged: What was read may come from another log than the batch's.
    """
    started = time.monotonic()
    judged = _judged(ctx, batch, startup_seconds)
    world.refuse_exchanged(ctx, generation)
    _record(ctx, batch, judged, time.monotonic() - started)


def run_control(ctx: Context, batch: Batch) -> float:
    """
    Judge the pictures of the model's card on the batch's route; say what to allow for a start.

    Returns:
        Seconds that Spark and the model may take to start, as far as the control tells.

    Raises:
        ControlFailed, SparkUnavailable, JudgingFailed, ModelMismatch, ConfigError: The world is at
            fault.
    """
    model = ctx.settings.model
    if model == "none":
        return 0.0
    job = ControlJob(_job(ctx, batch, model))
    started = time.monotonic()
    ctx.control(job, ctx.spark, deadline_seconds=ctx.settings.spark.startup_seconds)
    seconds = time.monotonic() - started
    log.info("control.passed", pipeline=ctx.pipeline, batch=batch.id, seconds=round(seconds, 2))
    return min(ctx.settings.spark.startup_seconds, _WARM_SECONDS + _DEADLINE_FACTOR * seconds)


def quarantine_unjudged(ctx: Context, batch: Batch, *, why: str, generation: int) -> None:
    """
    Record a batch whose images cannot be judged, by their bytes as Kafka holds them.

    Raises:
        TopicChanged, LogExchanged: As `judge_and_record`.
    """
    started = time.monotonic()
    rows = tuple(
        replace(row, label=None, reason=CANNOT_BE_JUDGED, detail=why)
        for row in _unjudged(ctx, batch, Throttling(), max_bytes=None)
    )
    world.refuse_exchanged(ctx, generation)
    log.warning("record.convicted", pipeline=ctx.pipeline, batch=batch.id, why=why)
    _record(ctx, batch, Judged(rows, ""), time.monotonic() - started)


def _record(ctx: Context, batch: Batch, judged: Judged, seconds: float) -> None:
    rows = [_named(ctx.settings, batch, prediction) for prediction in judged.predictions]
    ctx.ledger.record_predictions(
        batch.token,
        rows,
        destination=ctx.ftp.destination,
        judge_digest=judged.judge_digest or None,
        seconds=seconds,
        loading_seconds=judged.loading_seconds,
        remark=throttling.remark(judged.throttled_seconds, seconds),
        max_quarantine=ctx.settings.batch.max_quarantine,
    )
    log.info(
        "batch.judged",
        pipeline=ctx.pipeline,
        batch=batch.id,
        records=len(rows),
        quarantined=sum(row.quarantine is not None for row in rows),
        seconds=round(seconds, 2),
        loading_seconds=round(judged.loading_seconds, 2),
        throttled_seconds=round(judged.throttled_seconds, 2),
    )


def _judged(ctx: Context, batch: Batch, startup_seconds: float) -> Judged:
    model = ctx.settings.model
    if model == "none":
        limit, slowed = int(ctx.settings.batch.max_bytes), Throttling()
        rows = tuple(_unjudged(ctx, batch, slowed, max_bytes=limit))
        return Judged(rows, "", throttled_seconds=slowed.seconds)
    deadline = startup_seconds + _DEADLINE_FACTOR * _pace(ctx) * batch.offsets
    return ctx.judge(_job(ctx, batch, model), ctx.spark, deadline_seconds=deadline)


def _job(ctx: Context, batch: Batch, model: ModelSettings) -> JudgeJob:
    return JudgeJob(
        pipeline=ctx.pipeline,
        topic=ctx.settings.kafka.topic,
        kafka=ctx.kafka,
        ranges=batch.ranges,
        filename_header=ctx.settings.kafka.filename_header,
        model=model,
        batch_id=batch.id,
        attempt=batch.token.attempt,
        epoch=batch.token.epoch,
        generation=batch.generation,
        max_bytes=int(ctx.settings.batch.max_bytes),
        name_headers=ctx.settings.deliver.name_headers,
        seconds_per_offset=_known_pace(ctx),
    )


def _pace(ctx: Context) -> float:
    """
    Return the seconds to allow per offset, by the last batches, or a guess with room.

    Loading is left out, since there is time for it before the first picture. Each batch's fixed
    cost is shared out among its records: so a longer batch, whose records cost less, has time to
    spare.
    """
    return _known_pace(ctx) or _UNKNOWN_SECONDS_PER_OFFSET


def _known_pace(ctx: Context) -> float | None:
    state = ctx.ledger.pipeline_state(ctx.pipeline)
    last = state.costs[:_PACED_BATCHES] if state else ()
    if not last:
        return None
    seconds = sum(cost.judging_seconds for cost in last)
    return seconds / max(sum(cost.records for cost in last), 1)


def _unjudged(
    ctx: Context, batch: Batch, slowed: Throttling, *, max_bytes: int | None
) -> Iterator[Prediction]:
    """Make the rows of images that no model has seen: sizes and digests straight from Kafka."""
    read_bytes = 0
    for wanted in batch.ranges:
        for record in ctx.reader(wanted, slowed):
            if max_bytes is not None and read_bytes and read_bytes + len(record.value) > max_bytes:
                msg = f"the batch passes its bound of {max_bytes} bytes here"
                raise BatchTooBig(
                    msg, remedy="It is split", partition=record.partition, offset=record.offset
                )
            read_bytes += len(record.value)
            yield Prediction(
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                source_name=record.source_name,
                size_bytes=len(record.value),
                sha256=sha256_hex(record.value),
                label=UNJUDGED,
                headers=record.headers,
            )


def _named(settings: PipelineSettings, batch: Batch, found: Prediction) -> NamedPrediction:
    deliver = settings.deliver
    quarantine = quarantine_of(settings, found)
    prediction = found if found.label or quarantine else replace(found, label=UNJUDGED)
    fields = NameFields(
        pipeline=settings.pipeline,
        topic=settings.kafka.topic,
        partition=prediction.partition,
        offset=prediction.offset,
        timestamp_ms=prediction.timestamp_ms,
        source_name=prediction.source_name,
        label=prediction.label,
        generation=batch.generation,
        headers=prediction.headers,
    )
    if quarantine is None and deliver.illegal == "reject":
        quarantine = _illegal(name_flaw(deliver.name, fields, deliver.zone))
    name = remote_name(deliver.name, fields, deliver.zone, deliver.illegal)
    return NamedPrediction(
        prediction=prediction,
        remote_path=join_base(deliver.base, name),
        quarantine=quarantine,
    )


def quarantine_of(settings: PipelineSettings, prediction: Prediction) -> tuple[str, str] | None:
    """Say why a record is not to be delivered, with a detail; None if it is."""
    if prediction.size_bytes == 0 and settings.deliver.empty == "quarantine":
        return EMPTY, "0 bytes"
    if prediction.reason is None:
        return None
    if settings.model != "none" and settings.model.unjudged == "deliver":
        return None
    return prediction.reason, prediction.detail or ""


def _illegal(flaw: str | None) -> tuple[str, str] | None:
    return None if flaw is None else (ILLEGAL_NAME, flaw)
