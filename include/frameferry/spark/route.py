"""Judge a batch on whatever Spark the connection names, and check what comes back."""

from __future__ import annotations

import time
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from frameferry.config.connections import SparkConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.records import Judged, Prediction
from frameferry.errors import ControlFailed, ModelMismatch
from frameferry.inference import checking
from frameferry.inference.digest import is_here, judge_digest
from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.reach import probe
from frameferry.spark.submit import submitted_table

if TYPE_CHECKING:
    import pyarrow as pa

_WARM_SECONDS = 0.05
"""Checking that a loaded model is still that of its files takes less."""
_FIELDS = tuple(each.name for each in fields(Prediction))


def judge(job: JudgeJob, connection: SparkConnection, *, deadline_seconds: float) -> Judged:
    """
    Judge every record of the job's ranges: by Spark Connect or spark-submit, as the url says.

    Returns:
        The rows by partition and offset, and the digest of the model that the workers loaded.

    Raises:
        SparkUnavailable: No Spark answers, or it went away during the call.
        JudgingFailed: The job raised, died, or passed its deadline.
        KafkaUnavailable, OffsetsLost: What Spark met when it read the ranges; KafkaThrottled: a
            quota holds back more than the deadline allows.
        ModelMismatch: The model does not fit its card, or the workers judged with another one.
    """
    asked = replace(job, model=job.placed_model)
    expected = expected_digest(asked)
    asked = replace(asked, judge_digest=expected, asked_at=time.time())
    asked = replace(asked, deadline_seconds=deadline_seconds)
    return judged(_table(asked, connection, deadline_seconds), expected=expected)


def control(job: ControlJob, connection: SparkConnection, *, deadline_seconds: float) -> None:
    """
    Judge pictures with known answers, on the route and in the session of the failed batch.

    It tells a bad picture from a bad world: if these are not judged as the model's card says,
    nothing that fails now is a picture's fault.

    Raises:
        ControlFailed: The answers are not those of the card.
        SparkUnavailable, JudgingFailed, ModelMismatch, ConfigError: What the job met.
    """
    asked = replace(job.of, model=job.of.placed_model)
    asked = replace(
        asked,
        judge_digest=expected_digest(asked),
        asked_at=time.time(),
        deadline_seconds=deadline_seconds,
    )
    table = _table(ControlJob(asked), connection, deadline_seconds)
    wrong = [row for row in table.to_pylist() if not row["as_expected"]]
    if wrong or not table.num_rows:
        said = wrong[0]["said"] if wrong else "nothing at all"
        msg = f"the control failed: of a picture with a known answer the model says {said}"
        raise ControlFailed(
            msg, remedy="Put model and card right; nothing is split or quarantined until it passes"
        )


def _table(
    job: JudgeJob | ControlJob, connection: SparkConnection, deadline_seconds: float
) -> pa.Table:
    probe(connection.url)
    if not connection.is_connect:
        return submitted_table(job, connection, deadline_seconds=deadline_seconds)
    # It imports pandas and grpc, which takes seconds: too slow for a DAG's parsing or a command.
    from frameferry.spark.session import ConnectCall  # noqa: PLC0415

    return ConnectCall(job, connection, deadline_seconds).table()


def expected_digest(job: JudgeJob) -> str | None:
    """Digest the job's judge; None if its files are not on this machine."""
    return judge_digest(job.model) if is_here(job.model) else None


def judged(table: pa.Table, *, expected: str | None) -> Judged:
    """
    Turn the workers' table into rows, all judged by one model.

    Args:
        table: Rows with the columns of a Prediction, `judge_digest`, `loading_seconds`,
            `ready_seconds` and `throttled_seconds`, in any order.
        expected: The model's digest here; None if it cannot be read here.

    Raises:
        ModelMismatch: The workers used two models, or not the one that is here.
    """
    digests = sorted(set(table.column("judge_digest").to_pylist()))
    if len(digests) > 1:
        msg = f"the workers judged one batch with two models: {' and '.join(digests)}"
        raise ModelMismatch(msg, remedy="Let all workers see the same model files, then run again")
    found = digests[0] if digests else expected or ""
    if expected is not None and found != expected:
        msg = f"the workers judged with model {found}, but the model here is {expected}"
        raise ModelMismatch(msg, remedy="Let the workers see the same model files, then run again")
    rows = sorted(
        table.select(_FIELDS).to_pylist(), key=lambda row: (row["partition"], row["offset"])
    )
    throttled: float = max(table.column("throttled_seconds").to_pylist(), default=0.0)
    predictions = tuple(_prediction(row) for row in rows)
    return Judged(predictions, found, _loading_seconds(table), throttled)


def _loading_seconds(table: pa.Table) -> float:
    """
    Say how long the batch waited for cold workers; 0 if all were warm.

    A worker knows how long it took to load the model, but not how long it and its server took to
    start. So if one had to load, all the time until the first of them was ready counts.
    """
    loading: float = max(table.column("loading_seconds").to_pylist(), default=0.0)
    if loading < _WARM_SECONDS:
        return 0.0
    ready: float = min(table.column("ready_seconds").to_pylist())
    return max(loading, ready)


def _prediction(row: dict[str, Any]) -> Prediction:
    headers = row.pop("headers") or ()
    return Prediction(**row, headers=tuple((name, text) for name, text in headers))


def draft_card(path: str) -> str:
    """
    Write down a model's inputs and outputs as a card that is to be filled in.

    Raises:
        ModelMismatch: There is no such model, or TensorFlow cannot load it.
    """
    from frameferry.inference.drafting import draft  # noqa: PLC0415 - it needs TensorFlow

    return draft(path)


def check_model(settings: ModelSettings) -> None:
    """
    Check that a model's files and card are there and fit each other.

    Without TensorFlow, unless the card keeps outputs of its training: then the model is run.

    Raises:
        ModelMismatch: Says what does not fit, and what to do.
    """
    checking.check_model(settings)
    if checking.has_outputs(settings):
        from frameferry.inference.judge import read_judge  # noqa: PLC0415 - what few need

        read_judge(settings)
