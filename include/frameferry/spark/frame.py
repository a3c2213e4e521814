"""The DataFrame of a job: one row per task. Each task reads and judges its share of the ranges."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.rows import ROW_KINDS
from frameferry.spark.shares import shares

if TYPE_CHECKING:
    import pyarrow as pa

_SPARK = {str: "string", int: "bigint", float: "double", dict: "map<string,string>"}
ROW_SCHEMA = ", ".join(f"{name} {_SPARK[kind]}" for name, kind in ROW_KINDS.items())
CONTROL_SCHEMA = "as_expected boolean, said string"
_FEWEST_CORES = 2
_SPLITS = re.compile(r"splits=(?:Some\()?(\d+)")


def job_table(spark: Any, job: JudgeJob | ControlJob) -> pa.Table:  # noqa: ANN401 - pyspark has two session classes
    """
    Run a job on *spark*.

    Its JVMs never hold an image's bytes: the Python workers read Kafka.

    Args:
        spark: A Spark Connect or a classic session.
        job: The ranges of a JudgeJob must lie in the topic; otherwise the read fails, and skips
            nothing.

    Returns:
        For a JudgeJob the columns of a Prediction, `judge_digest`, `loading_seconds`,
        `ready_seconds` and `throttled_seconds`, one row per image, in no particular order. For a
        ControlJob `as_expected` and `said`.
    """
    # It imports pyarrow and numpy, which is too slow for a DAG's parsing.
    from frameferry.spark.worker import control_batches, judge_batches  # noqa: PLC0415

    cores = core_count(spark)
    if isinstance(job, ControlJob):
        return _task_frame(spark, cores).mapInArrow(control_batches(job), CONTROL_SCHEMA).toArrow()
    parts = shares(job.ranges, cores=cores, seconds_per_offset=job.seconds_per_offset)
    judging = judge_batches(job, parts)
    return _task_frame(spark, len(parts)).mapInArrow(judging, ROW_SCHEMA).toArrow()


def core_count(spark: Any) -> int:  # noqa: ANN401
    """
    Ask Spark how many tasks it runs at once, without running one.

    Over Spark Connect only the plan of a plain range tells the default parallelism. That is the
    number of cores of all executors that are up.
    """
    context = getattr(spark, "sparkContext", None)
    if context is not None:
        return int(context.defaultParallelism)
    found = _SPLITS.search(spark.range(1)._explain_string())  # noqa: SLF001 - explain() only prints
    return int(found.group(1)) if found else _FEWEST_CORES


def _task_frame(spark: Any, tasks: int) -> Any:  # noqa: ANN401
    """Make a frame of *tasks* rows, numbered from 0, each in a task of its own."""
    return spark.range(0, tasks, 1, tasks)
