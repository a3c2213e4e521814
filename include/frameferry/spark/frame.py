"""The bounded DataFrame, read_committed: exactly the job's offset ranges, and their judging."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from frameferry.spark.job import ControlJob, JudgeJob

if TYPE_CHECKING:
    import pyarrow as pa

ROW_SCHEMA = (
    "partition bigint, offset bigint, timestamp_ms bigint, source_name string, size_bytes bigint, "
    "sha256 string, label string, score double, outputs string, reason string, detail string, "
    "headers map<string,string>, judge_digest string"
)
CONTROL_SCHEMA = "as_expected boolean, said string"
SESSION_CONF = {
    # Arrow batches of few, large rows: memory stays flat however large the pictures are.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "32",
    "spark.sql.execution.arrow.maxBytesPerBatch": str(16 * 1024**2),
    "spark.sql.execution.python.udf.buffer.size": str(1024**2),
}
TASKS_PER_CORE = 3
MIN_OFFSETS_PER_TASK = 8
"""Below this the start of a task costs more than it spreads."""
_KAFKA_DEFAULTS = {
    "kafka.max.partition.fetch.bytes": str(8 * 1024**2),
    "kafka.fetch.max.bytes": str(16 * 1024**2),
    "kafka.fetch.max.wait.ms": "50",
    "kafka.default.api.timeout.ms": "15000",
    "kafka.request.timeout.ms": "10000",
    "kafkaConsumer.pollTimeoutMs": "30000",
    "fetchOffset.numRetries": "1",
}
_FEWEST_CORES = 2
_SPLITS = re.compile(r"splits=(?:Some\()?(\d+)")


def bounded_frame(spark: Any, job: JudgeJob) -> Any:  # noqa: ANN401 - two frame classes
    """
    Read the job's ranges as rows of partition, offset, timestamp_ms, name, headers and value.

    `name` is the filename header's bytes (the first, where there are several), null without one;
    `headers` holds the same of each of the job's `name_headers`, in their order.
    """
    options = kafka_source_options(job, cores=core_count(spark))
    return (
        spark.read.format("kafka")
        .options(**options)
        .load()
        .selectExpr(
            "cast(partition AS bigint) AS partition",
            "offset",
            "unix_millis(timestamp) AS timestamp_ms",
            f"{_header(job.filename_header)} AS name",
            f"{_headers(job.name_headers)} AS headers",
            "value",
        )
    )


def kafka_source_options(job: JudgeJob, *, cores: int) -> dict[str, str]:
    """
    Say to Spark's Kafka source exactly which offsets to read, ends exclusive.

    Both offset maps name the same partitions, as the source demands. The job's own Kafka options
    win over our defaults, not over what makes the read exact.
    """
    partitions = [wanted.partition for wanted in job.ranges]
    return {
        **_KAFKA_DEFAULTS,
        **job.kafka_options,
        "kafka.isolation.level": "read_committed",
        "assign": json.dumps({job.topic: partitions}),
        "startingOffsets": json.dumps({job.topic: {str(r.partition): r.start for r in job.ranges}}),
        "endingOffsets": json.dumps({job.topic: {str(r.partition): r.end for r in job.ranges}}),
        "includeHeaders": "true",
        "failOnDataLoss": "true",
        "minPartitions": str(min_partitions(job, cores=cores)),
    }


def min_partitions(job: JudgeJob, *, cores: int) -> int:
    """Choose how many tasks to ask for: 2 to 4 a core, none of a few offsets only."""
    offsets = sum(wanted.length for wanted in job.ranges)
    tasks = min(TASKS_PER_CORE * cores, offsets // MIN_OFFSETS_PER_TASK)
    return max(len(job.ranges), tasks, 1)


def core_count(spark: Any) -> int:  # noqa: ANN401
    """
    Ask Spark how many tasks it runs at once, without running one.

    Spark Connect offers no way to it but the plan of a plain range, which names the default
    parallelism: the cores of all executors that are up.
    """
    context = getattr(spark, "sparkContext", None)
    if context is not None:
        return int(context.defaultParallelism)
    found = _SPLITS.search(spark.range(1)._explain_string())  # noqa: SLF001 - explain() only prints
    return int(found.group(1)) if found else _FEWEST_CORES


def _header(name: str) -> str:
    return f"get(filter(headers, h -> h.key = {_text(name)}), 0).value"


def _headers(names: Sequence[str]) -> str:
    """Write the values of these headers as one array; the cast is for none."""
    return f"cast(array({', '.join(map(_header, names))}) AS array<binary>)"


def _text(value: str) -> str:
    """Write any text as an SQL expression; hex needs no escaping."""
    return f"cast(X'{value.encode().hex()}' AS string)"


def job_table(spark: Any, job: JudgeJob | ControlJob) -> pa.Table:  # noqa: ANN401 - pyspark has two session classes
    """
    Run a job on *spark*; what comes back are small rows, never an image's bytes.

    Args:
        spark: A Spark Connect or a classic session.
        job: The ranges of a JudgeJob must lie in the topic; else the read fails, never skips.

    Returns:
        Of a JudgeJob the columns of a Prediction and `judge_digest`, one row an image, in no
        particular order; of a ControlJob `as_expected` and what was said.
    """
    # pyarrow and numpy come with it, which a DAG's parsing must not pay for.
    from frameferry.spark.worker import control_batches, judge_batches  # noqa: PLC0415

    if isinstance(job, ControlJob):
        tasks = core_count(spark)
        frame = spark.range(0, tasks, 1, tasks)
        return frame.mapInArrow(control_batches(job.placed_model), CONTROL_SCHEMA).toArrow()
    judging = judge_batches(job.placed_model, job.max_bytes, job.name_headers)
    return bounded_frame(spark, job).mapInArrow(judging, ROW_SCHEMA).toArrow()
