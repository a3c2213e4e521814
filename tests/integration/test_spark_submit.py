"""The cold route: spark-submit with a local master, on a real broker and the committed model."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from fixtures.judging import make_job, slow_picture, surface
from fixtures.kafka import KafkaServer
from fixtures.polling import poll
from fixtures.processes import command_line, descendants, is_over
from fixtures.spark import SparkServer

from frameferry.config.connections import KafkaConnection, SparkConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Judged
from frameferry.errors import BatchTooBig, JudgingFailed, SparkLost
from frameferry.spark import lifeline
from frameferry.spark.job import ControlJob
from frameferry.spark.route import control, judge

pytestmark = pytest.mark.timeout(300)

SECRET = "sesame-4711"
DEADLINE_SECONDS = 250
CLIENT = """
import sys
from pathlib import Path
from frameferry.config.connections import SparkConnection
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import judge

job = JudgeJob.from_json(Path(sys.argv[1]).read_text())
judge(job, SparkConnection(conn_id="spark_default", url="local[2]"), deadline_seconds=150)
"""
ELSEWHERE = """
import sys, threading
from pathlib import Path
from frameferry.spark import lifeline

lifeline._SILENCE_SECONDS, lifeline._WATCH_SECONDS = 2.0, 0.1
lifeline.end_with_submitter(Path(sys.argv[1]))
threading.Event().wait(100)
"""


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the route keeps its files while it runs."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield tmp_path
    assert not list(tmp_path.glob("frameferry-submit-*"))


def local(**conf: str) -> SparkConnection:
    return SparkConnection(conn_id="spark_default", url="local[2]", conf=conf)


def command_lines(pid: int) -> list[str]:
    return [" ".join(command_line(process)) for process in descendants(pid)]


def is_driver(line: str) -> bool:
    """Tell the Python driver from the launchers before it, which name the same file."""
    return "infer_batch.py" in line and "--master" not in line


def is_drivers_java(process: psutil.Process) -> bool:
    program, *words = command_line(process) or [""]
    return program.endswith("java") and "infer_batch.py" in " ".join(words)


def secretive(connection: KafkaConnection) -> KafkaConnection:
    return connection.model_copy(
        update={"options": {**connection.options, "sasl.password": SECRET}}
    )


def test_both_routes_give_identical_rows_and_neither_shows_a_secret(
    kafka_server: KafkaServer, spark_server: SparkServer, folders: Path
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    # 30 MB of pictures for a driver that takes 1 MB of results.
    kafka_server.produce(topic, [os.urandom(1_500_000) for _ in range(20)])
    pictures = [surface(seed) for seed in range(5)]
    headers = [[("filename", f"{seed}.jpg".encode())] for seed in range(5)]
    kafka_server.produce(topic, [*pictures, b"", b"x"], partition=1, headers=[*headers, None, None])
    job = make_job(
        kafka_server,
        topic,
        OffsetRange(0, 0, 20),
        OffsetRange(1, 1, 7),
        kafka=secretive(kafka_server.connection),
    )
    answers: list[Judged] = []
    connection = local(**{"spark.driver.maxResultSize": "1m", "spark.some.secret": SECRET})
    thread = threading.Thread(
        target=lambda: answers.append(judge(job, connection, deadline_seconds=DEADLINE_SECONDS))
    )
    thread.start()
    seen: set[str] = set()

    def has_driver() -> bool:
        seen.update(command_lines(os.getpid()))
        return any(is_driver(line) for line in seen)

    poll(has_driver, "the driver", seconds=DEADLINE_SECONDS)
    (folder,) = folders.glob("frameferry-submit-*")
    for name in ("job.json", "spark.properties"):
        assert SECRET in (folder / name).read_text()
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    thread.join(DEADLINE_SECONDS)
    assert not [line for line in seen if SECRET in line]
    warm = judge(job, spark_server.connection, deadline_seconds=DEADLINE_SECONDS)
    assert len(warm.predictions) == 26
    # How long its workers took to load differs, and is no row.
    assert [replace(one, loading_seconds=0) for one in answers] == [
        replace(warm, loading_seconds=0)
    ]


def test_past_its_deadline_the_whole_application_ends(
    kafka_server: KafkaServer, folders: Path
) -> None:
    before = set(descendants(os.getpid()))
    job = make_job(kafka_server, "never-read", OffsetRange(0, 0, 1))
    with pytest.raises(JudgingFailed, match=r"deadline of 2 s on Spark at local\[2\] .* ended"):
        judge(job, local(), deadline_seconds=2)
    assert not set(descendants(os.getpid())) - before


def test_a_killed_submitter_leaves_no_application_behind(
    kafka_server: KafkaServer, tmp_path: Path
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [slow_picture()] * 200)
    job_file = tmp_path / "job.json"
    job_file.write_text(make_job(kafka_server, topic, OffsetRange(0, 0, 200)).to_json())
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(job_file)],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        start_new_session=True,
    )
    started: list[psutil.Process] = []

    def has_driver() -> bool:
        assert client.poll() is None
        started[:] = descendants(client.pid)
        return any(is_driver(line) for line in command_lines(client.pid))

    try:
        poll(has_driver, "the driver", seconds=DEADLINE_SECONDS)
    finally:
        client.send_signal(signal.SIGKILL)
        client.wait(10)
    poll(lambda: all(map(is_over, started)), "its end", seconds=90)


def test_a_driver_that_dies_with_its_job_is_told_so_that_it_counts(
    kafka_server: KafkaServer, folders: Path
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [slow_picture()] * 200)
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 200))
    with ThreadPoolExecutor() as pool:
        judging = pool.submit(judge, job, local(), deadline_seconds=DEADLINE_SECONDS)
        poll(
            lambda: list(folders.glob("frameferry-submit-*/*.begun")),
            "the job's beginning",
            seconds=DEADLINE_SECONDS,
        )
        (java,) = [one for one in descendants(os.getpid()) if is_drivers_java(one)]
        java.terminate()  # as a cluster ends a driver; what it can say before its end varies
        with pytest.raises((SparkLost, JudgingFailed), match=r"stopped|shut down|status 143"):
            judging.result(DEADLINE_SECONDS)


def test_the_control_runs_in_an_application_of_its_own_too(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(1)])
    job = ControlJob(make_job(kafka_server, topic, OffsetRange(0, 0, 1)))
    control(job, local(), deadline_seconds=DEADLINE_SECONDS)


def test_too_many_bytes_are_told_with_their_place_here_too(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x" * 1000] * 6)
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 6), max_bytes=4500)
    with pytest.raises(BatchTooBig) as caught:
        judge(job, local(), deadline_seconds=DEADLINE_SECONDS)
    assert (0, 4) == (caught.value.partition, caught.value.offset)


def test_a_driver_on_another_machine_ends_when_its_submitter_gives_no_sign(tmp_path: Path) -> None:
    with lifeline.signs_of_life(tmp_path / "job.json"):
        driver = subprocess.Popen(
            [sys.executable, "-c", ELSEWHERE, str(tmp_path / "job.json")], start_new_session=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            driver.wait(6)  # longer than the silence that it bears
    assert -signal.SIGKILL == driver.wait(30)
