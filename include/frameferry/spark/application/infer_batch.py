"""
Judge one batch: `spark-submit --master MASTER infer_batch.py JOB.json OUT.arrow`.

JOB.json is what JudgeJob.to_json writes; OUT.arrow appears whole, when all rows are there.
"""

from __future__ import annotations

import sys
from pathlib import Path

from pyspark.sql import SparkSession  # noqa: TID253 - this file runs under spark-submit only

from frameferry.spark.frame import job_table
from frameferry.spark.job import read_job
from frameferry.spark.lifeline import end_with_submitter, tell_it_began, tell_of_failure
from frameferry.spark.resources import take_empty_task
from frameferry.spark.submit import write_rows


def main(job_file: str, rows_file: str) -> None:
    """Run the same job function as the Spark Connect route, in this driver."""
    waiting = Path(job_file)
    tell_of_failure(waiting)
    end_with_submitter(waiting)
    job = read_job(waiting.read_text(encoding="utf-8"))
    spark = SparkSession.builder.getOrCreate()
    take_empty_task(spark)
    tell_it_began(waiting)
    write_rows(job_table(spark, job), Path(rows_file))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
