"""What the end of a driver means, by what it said, and whether its job had begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameferry.config.connections import KafkaConnection, SparkConnection
from frameferry.config.deployment import Deployment
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import (
    ConfigError,
    FrameferryError,
    JudgingTimedOut,
    SparkLost,
    SparkUnavailable,
)
from frameferry.spark import submit
from frameferry.spark.job import JudgeJob

# The words of a real one: Spark 4.2, local master, its JVM ended in the middle of a job.
STOPPED = """Traceback (most recent call last):
  File "spark_jobs/infer_batch.py", line 31, in <module>
    main(*sys.argv[1:])
py4j.protocol.Py4JJavaError: An error occurred while calling o62.collectToPython.
: java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.
"""
JOB = JudgeJob(
    pipeline="press-a",
    topic="press-a.images",
    kafka=KafkaConnection(conn_id="k", options={"bootstrap.servers": "k:9092"}),
    ranges=(OffsetRange(0, 0, 1),),
    filename_header="filename",
    model=ModelSettings(path="models/surface"),
    batch_id=1,
    attempt=1,
)
BEGIN = 'for file in "$@"; do case $file in *.json) : > "$file.begun";; esac; done'


def stand_in(folder: Path, lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a script of ours run in place of spark-submit."""
    script = folder / "spark-submit"
    script.write_text(f"#!/bin/sh\n{lines}\n")
    script.chmod(0o755)
    monkeypatch.setattr(submit, "_spark_submit", lambda: script)


@pytest.mark.parametrize(("has_begun", "meaning"), [(True, SparkLost), (False, SparkUnavailable)])
def test_spark_that_goes_away_counts_once_the_job_has_begun(
    has_begun: bool,
    meaning: type[FrameferryError],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = tmp_path / "said"
    said.write_text(STOPPED)
    stand_in(tmp_path, f"{BEGIN if has_begun else ''}\ncat {said}\nexit 1", monkeypatch)
    local = SparkConnection(conn_id="spark_default", url="local[2]")
    with pytest.raises(SparkUnavailable, match=r"at local.*: Cannot call methods on a s") as caught:
        submit.submitted_table(JOB, local, deadline_seconds=30)
    assert type(caught.value) is meaning


def on_cluster(folder: Path) -> SparkConnection:
    sent = Deployment(deploy_mode="cluster", folder=str(folder))
    return SparkConnection(conn_id="spark_default", url="yarn", deployment=sent)


@pytest.mark.parametrize(
    ("has_begun", "meaning", "said"),
    [
        (False, SparkUnavailable, r"yarn gave the job no executor in 0.3 s"),
        (True, JudgingTimedOut, r"deadline of 0.6 s"),
    ],
)
def test_a_cluster_without_an_executor_is_told_from_a_picture_that_never_lets_go(
    has_begun: bool,
    meaning: type[FrameferryError],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stand_in(tmp_path, f"{BEGIN if has_begun else ''}\nexec sleep 30", monkeypatch)
    with pytest.raises(meaning, match=said):
        submit.submitted_table(JOB, on_cluster(tmp_path), deadline_seconds=0.6)
    assert [tmp_path / "spark-submit"] == list(tmp_path.iterdir())


def test_a_driver_elsewhere_says_by_a_file_how_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    said.write_text(STOPPED)
    leave = BEGIN.replace(": >", f"cat {said} >").replace(".begun", ".failed")
    stand_in(tmp_path, f"{leave}\necho application_1 failed\nexit 1", monkeypatch)
    with pytest.raises(SparkUnavailable, match=r"at yarn: Cannot call methods on a stopped"):
        submit.submitted_table(JOB, on_cluster(tmp_path), deadline_seconds=30)


def test_of_a_driver_whose_java_is_gone_the_cluster_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The words of real ones: Spark 4.2 on YARN, executors that cannot connect to their driver.
    said = tmp_path / "said"
    said.write_text(
        "Traceback (most recent call last):\npy4j.protocol.Py4JNetworkError: Answer from Java side "
        "is empty\n\nTraceback (most recent call last):\nConnectionRefusedError: [Errno 111] No\n"
    )
    leave = BEGIN.replace(": >", f"cat {said} >").replace(".begun", ".failed")
    why = "26/12/01 11:29:30 ERROR Client: Application diagnostics message: Max number of executor"
    stand_in(tmp_path, f"{leave}\necho '{why} failures (4) reached' >&2\nexit 1", monkeypatch)
    with pytest.raises(SparkUnavailable, match=r"at yarn: Application .* failures \(4\) reached"):
        submit.submitted_table(JOB, on_cluster(tmp_path), deadline_seconds=30)


def test_what_is_missing_here_is_told_before_spark_begins(tmp_path: Path) -> None:
    sent = Deployment(archives=("/nowhere/env.tar.gz#env",))
    there = SparkConnection(conn_id="spark_default", url="yarn", deployment=sent)
    with pytest.raises(ConfigError, match=r"there is no /nowhere/env.tar.gz here"):
        submit.submitted_table(JOB, there, deadline_seconds=30)


def test_a_shared_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.touch()
    with pytest.raises(ConfigError, match=r"folder \S+file cannot be written"):
        submit.submitted_table(JOB, on_cluster(place), deadline_seconds=30)
