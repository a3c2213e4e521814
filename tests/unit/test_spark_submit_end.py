"""What the end of a driver means, by what it said, and whether its job had begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameferry.config.connections import KafkaConnection, SparkConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import FrameferryError, SparkLost, SparkUnavailable
from frameferry.spark import submit
from frameferry.spark.job import JudgeJob

# The words of a real one: Spark 4.2, local master, its JVM ended in the middle of a job.
STOPPED = """Traceback (most recent call last):
  File "spark_jobs/infer_batch.py", line 31, in <module>
    main(*sys.argv[1:])
py4j.protocol.Py4JJavaError: An error occurred while calling o62.collectToPython.
: java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.
"""


@pytest.mark.parametrize(("has_begun", "meaning"), [(True, SparkLost), (False, SparkUnavailable)])
def test_spark_that_goes_away_counts_once_the_job_has_begun(
    has_begun: bool,
    meaning: type[FrameferryError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = tmp_path / "said"
    said.write_text(STOPPED)
    script = tmp_path / "spark-submit"
    begin = 'for file in "$@"; do case $file in *.json) : > "$file.begun";; esac; done'
    script.write_text(f"#!/bin/sh\n{begin if has_begun else ''}\ncat {said}\nexit 1\n")
    script.chmod(0o755)
    monkeypatch.setattr(submit, "_spark_submit", lambda: script)
    job = JudgeJob(
        pipeline="press-a",
        topic="press-a.images",
        kafka=KafkaConnection(conn_id="k", options={"bootstrap.servers": "k:9092"}),
        ranges=(OffsetRange(0, 0, 1),),
        filename_header="filename",
        model=ModelSettings(path="models/surface"),
        batch_id=1,
        attempt=1,
    )
    local = SparkConnection(conn_id="spark_default", url="local[2]")
    with pytest.raises(SparkUnavailable, match=r"at local.*: Cannot call methods on a s") as caught:
        submit.submitted_table(job, local, deadline_seconds=30)
    assert type(caught.value) is meaning
