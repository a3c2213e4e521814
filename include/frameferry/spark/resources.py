"""Wait for a cluster's executors, bounded: Spark waits for ever, and only its log says so."""

from __future__ import annotations

from typing import Any

from frameferry.errors import SparkUnavailable

RESOURCES_SHARE = 0.5
"""Share of a job's deadline after which a cluster without a free executor is given up."""


def take_empty_task(spark: Any) -> None:  # noqa: ANN401 - pyspark has two session classes
    """Run a task without Python in it: when it is over, an executor is there."""
    spark.range(0, 1, 1, 1).collect()


def no_executor(url: str, seconds: float) -> SparkUnavailable:
    """Make the error: whoever reads it must know where to look, and that it is nobody's picture."""
    msg = f"Spark at {url} gave the job no executor in {seconds:g} s"
    remedy = (
        "See on its page whether it has workers, and as much free as an executor asks for "
        "(spark.executor.memory, .cores); if it is only slow or busy, raise spark.startup_seconds"
    )
    return SparkUnavailable(msg, remedy=remedy)
