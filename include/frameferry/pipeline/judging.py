"""Judge a batch and freeze what was said: one row an image, each with its remote path."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace

import structlog

from frameferry.config.settings import ModelSettings, PipelineSettings
from frameferry.domain.batch import Batch
from frameferry.domain.naming import NameFields, join_base, remote_name
from frameferry.domain.records import UNJUDGED, Judged, NamedPrediction, Prediction, sha256_hex
from frameferry.kafka.options import spark_options
from frameferry.pipeline.context import Context
from frameferry.spark.job import JudgeJob

DEADLINE_BASE_SECONDS = 240.0
"""A cold start of Spark and TensorFlow on a busy machine, with room."""
_DEADLINE_FACTOR = 10.0
_UNKNOWN_SECONDS_PER_OFFSET = 0.5

log = structlog.get_logger()


def judge_and_record(ctx: Context, batch: Batch) -> None:
    """
    Judge the batch on its route and record all rows in one fenced transaction.

    Raises:
        JudgingFailed, SparkUnavailable: The route failed; nothing was recorded.
    """
    started = time.monotonic()
    judged = _judged(ctx, batch)
    seconds = time.monotonic() - started
    rows = [_named(ctx.settings, batch, prediction) for prediction in judged.predictions]
    ctx.ledger.record_predictions(
        batch.token,
        rows,
        destination=ctx.ftp().destination,
        judge_digest=judged.judge_digest or None,
        seconds=seconds,
    )
    log.info(
        "batch.judged",
        pipeline=ctx.pipeline,
        batch=batch.id,
        records=len(rows),
        quarantined=sum(row.quarantine is not None for row in rows),
        seconds=round(seconds, 2),
    )


def _judged(ctx: Context, batch: Batch) -> Judged:
    model = ctx.settings.model
    if model == "none":
        return Judged(tuple(_unjudged(ctx, batch)), "")
    return ctx.judge(
        _job(ctx, batch, model), ctx.spark(), deadline_seconds=_deadline_seconds(ctx, batch)
    )


def _job(ctx: Context, batch: Batch, model: ModelSettings) -> JudgeJob:
    return JudgeJob(
        pipeline=ctx.pipeline,
        topic=ctx.settings.kafka.topic,
        kafka_options=spark_options(ctx.kafka()),
        ranges=batch.ranges,
        filename_header=ctx.settings.kafka.filename_header,
        model=model,
        batch_id=batch.id,
        attempt=batch.token.attempt,
        generation=batch.generation,
        max_bytes=int(ctx.settings.batch.max_bytes),
    )


def _deadline_seconds(ctx: Context, batch: Batch) -> float:
    """Ten times what the last batches' pace says, on top of a cold start."""
    state = ctx.ledger.pipeline_state(ctx.pipeline)
    rates = state.rates if state else None
    pace = rates.infer_seconds_per_record if rates else _UNKNOWN_SECONDS_PER_OFFSET
    offsets = sum(wanted.length for wanted in batch.ranges)
    return DEADLINE_BASE_SECONDS + _DEADLINE_FACTOR * pace * offsets


def _unjudged(ctx: Context, batch: Batch) -> Iterator[Prediction]:
    """Make the rows of a pipeline without a model: sizes and digests straight from Kafka."""
    for wanted in batch.ranges:
        for record in ctx.reader(wanted):
            yield Prediction(
                partition=record.partition,
                offset=record.offset,
                timestamp_ms=record.timestamp_ms,
                source_name=record.source_name,
                size_bytes=len(record.value),
                sha256=sha256_hex(record.value),
                label=UNJUDGED,
            )


def _named(settings: PipelineSettings, batch: Batch, found: Prediction) -> NamedPrediction:
    quarantine = _quarantine(settings, found)
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
    )
    name = remote_name(settings.deliver.name, fields, settings.deliver.zone)
    return NamedPrediction(
        prediction=prediction,
        remote_path=join_base(settings.deliver.base, name),
        quarantine=quarantine,
    )


def _quarantine(settings: PipelineSettings, prediction: Prediction) -> tuple[str, str] | None:
    if prediction.reason is None:
        return None
    if settings.model != "none" and settings.model.unjudged == "deliver":
        return None
    return prediction.reason, prediction.detail or ""
