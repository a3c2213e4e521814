"""What runs on the executors: shares of ranges in, small rows out. Imported there by name."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from frameferry.domain.columns import SAID
from frameferry.domain.records import ImageRecord, sha256_hex
from frameferry.errors import (
    BatchTooBig,
    ConfigError,
    FrameferryError,
    KafkaThrottled,
    KafkaUnavailable,
    ModelMismatch,
)
from frameferry.inference.judge import Judge, load_judge
from frameferry.inference.own.judge import OwnJudge
from frameferry.inference.verdict import Verdict
from frameferry.kafka.reader import RangeReader
from frameferry.kafka.throttling import Throttling
from frameferry.spark.crossing import WorkerError
from frameferry.spark.gpus import pin_gpus
from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.rows import ROW_KINDS
from frameferry.spark.shares import FEWEST_OFFSETS, Share

GROUP_IMAGES = 32
"""Images judged in one call: enough to fill the model, few enough to keep memory flat."""
GROUP_BYTES = 16 * 1024**2
"""A group that has this many bytes takes no further image."""
READING = {"queued.max.messages.kbytes": 4 * 1024}
"""A task reads past its share until it notices the end, so little is fetched ahead."""
_ARROW = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    dict: pa.map_(pa.string(), pa.string()),
}
ROWS = pa.schema([(name, _ARROW[kind]) for name, kind in ROW_KINDS.items()])
CONTROL_ROWS = pa.schema([("as_expected", pa.bool_()), ("said", pa.string())])
_READING_SHARE = 0.8
"""Share of a job's deadline after which throttled reads are given up, in time to report it."""
_CONTROL_SHARE = 0.4
"""The same for a control. It is less, because the model is loaded afterwards."""
_LEAST_PATIENCE_SHARE = 0.05
Item = TypeVar("Item")
_LOG_VARIABLE = "SPARK_LOG_URL_STDERR"
"""Where an executor of a cluster logs, as Spark tells its processes; not set in a local one."""
_MACHINES_OWN = (ConfigError, KafkaUnavailable, ModelMismatch)
BatchFunction = Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]


class _Waits(NamedTuple):
    """How long a share waited: for its model, for the call's first picture, for a quota."""

    loading_seconds: float
    ready_seconds: float
    throttled_seconds: float


def judge_batches(job: JudgeJob, shares: Sequence[Share]) -> BatchFunction:
    """
    Bind a job to the function that judges a task's shares, given their numbers.

    A task stops with BatchTooBig before the record that would exceed the job's `max_bytes`, but
    never before its first. A partial of a module's function is pickled by name, so a warm worker
    finds the module and the loaded model where it left them.
    """
    return partial(_judge_batches, job, tuple(shares))


def control_batches(job: ControlJob) -> BatchFunction:
    """Bind a control to the function that judges its model's pictures, once per task."""
    return partial(_control_batches, job)


def _judge_batches(
    job: JudgeJob, shares: Sequence[Share], batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                yield from _judged_share(job, shares[number])
    except FrameferryError as error:
        raise WorkerError(_placed(error)) from error


def _placed(error: FrameferryError) -> FrameferryError:
    """Name the executor of a cluster in what may be the fault of one machine alone."""
    log = os.environ.get(_LOG_VARIABLE)
    if log is None or not isinstance(error, _MACHINES_OWN):
        return error
    return error.at(executor=f"on {socket.gethostname()} (log: {log})")


def _judged_share(job: JudgeJob, share: Share) -> Iterator[pa.RecordBatch]:
    started = time.monotonic()
    pin_gpus()
    judge = load_judge(job.model, expected=job.judge_digest)
    loading_seconds = time.monotonic() - started
    ready_seconds = _waited_seconds(job)
    throttling = Throttling(_patience_seconds(job, _READING_SHARE))
    records = _bounded(_records(job, share, throttling), job.max_bytes)
    for images in grouped(records, lambda one: len(one.value)):
        yield _judged(judge, images, _Waits(loading_seconds, ready_seconds, throttling.seconds))


def _waited_seconds(job: JudgeJob) -> float:
    return max(time.time() - job.asked_at, 0.0) if job.asked_at else 0.0


def _patience_seconds(job: JudgeJob, share: float) -> float:
    """
    Return how many seconds to bear a quota: until *share* of the job's deadline is over.

    A little is always left, because clocks differ. If Spark tries a task again, each try has to
    end in time to say why.
    """
    if job.deadline_seconds is None:
        return inf
    left = share * job.deadline_seconds - _waited_seconds(job)
    return max(left, _LEAST_PATIENCE_SHARE * job.deadline_seconds)


def _records(job: JudgeJob, share: Share, throttling: Throttling) -> Iterator[ImageRecord]:
    for wanted in share:
        yield from RangeReader(
            job.kafka,
            job.topic,
            wanted,
            filename_header=job.filename_header,
            name_headers=job.name_headers,
            reading=READING,
            throttling=throttling,
        )


def _bounded(records: Iterable[ImageRecord], max_bytes: int | None) -> Iterator[ImageRecord]:
    """Pass records on; raise BatchTooBig before one that exceeds *max_bytes*, unless the first."""
    read_bytes = 0
    for record in records:
        if max_bytes is not None and read_bytes and read_bytes + len(record.value) > max_bytes:
            msg = f"the batch passes its bound of {max_bytes} bytes here"
            raise BatchTooBig(
                msg, remedy="It is split", partition=record.partition, offset=record.offset
            )
        read_bytes += len(record.value)
        yield record


def grouped(items: Iterable[Item], size_bytes: Callable[[Item], int]) -> Iterator[list[Item]]:
    """Make groups of what is judged in one call: few enough, and not too large."""
    group: list[Item] = []
    for item in items:
        group.append(item)
        if len(group) == GROUP_IMAGES or sum(map(size_bytes, group)) >= GROUP_BYTES:
            yield group
            group = []
    if group:
        yield group


def _control_batches(
    job: ControlJob, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    try:
        for _ in batches:
            yield _controlled(job.of)
    except FrameferryError as error:
        raise WorkerError(_placed(error)) from error


def _controlled(job: JudgeJob) -> pa.RecordBatch:
    _read_first(job)
    pin_gpus()
    judge = load_judge(job.model, expected=job.judge_digest)
    pairs = _control_verdicts(judge)
    columns = {
        "as_expected": [judge.is_as_expected(*pair) for pair in pairs],
        "said": [verdict.label or verdict.detail for _, verdict in pairs],
    }
    return pa.RecordBatch.from_pydict(columns, schema=CONTROL_ROWS)


def _control_verdicts(judge: Judge | OwnJudge) -> list[tuple[str | None, Verdict]]:
    """Judge the controls; where no picture could be one, an input that shows nothing."""
    known = judge.control_pictures()
    if not known and isinstance(judge, Judge):
        return [(None, judge.judge_nothing())]
    verdicts = judge.judge([picture for _, picture in known])
    return [(label, verdict) for (label, _), verdict in zip(known, verdicts, strict=True)]


def _read_first(job: JudgeJob) -> None:
    """Read from Kafka as the batch does; it is not a failure if a quota holds this back."""
    throttling = Throttling(_patience_seconds(job, _CONTROL_SHARE))
    with suppress(KafkaThrottled):
        for _ in _records(job, _first_records(job), throttling):
            if throttling.seconds:
                return


def _first_records(job: JudgeJob) -> Share:
    """Return what a control reads: the batch's first offsets, at most FEWEST_OFFSETS."""
    wanted = job.ranges[0]
    return (replace(wanted, end=min(wanted.end, wanted.start + FEWEST_OFFSETS)),)


def _judged(
    judge: Judge | OwnJudge, images: Sequence[ImageRecord], waits: _Waits
) -> pa.RecordBatch:
    verdicts = judge.judge([image.value for image in images])
    columns: dict[str, Sequence[Any]] = {
        "partition": [image.partition for image in images],
        "offset": [image.offset for image in images],
        "timestamp_ms": [image.timestamp_ms for image in images],
        "source_name": [image.source_name for image in images],
        "size_bytes": [len(image.value) for image in images],
        "sha256": [sha256_hex(image.value) for image in images],
        **{name: [getattr(verdict, name) for verdict in verdicts] for name in SAID},
        "reason": [verdict.reason for verdict in verdicts],
        "detail": [verdict.detail for verdict in verdicts],
        "headers": [list(image.headers) for image in images],
        "judge_digest": [judge.digest] * len(images),
        "loading_seconds": [waits.loading_seconds] * len(images),
        "ready_seconds": [waits.ready_seconds] * len(images),
        "throttled_seconds": [waits.throttled_seconds] * len(images),
    }
    return pa.RecordBatch.from_pydict(columns, schema=ROWS)
