"""What is wrong with a cluster is said in one sentence with its remedy, in bounded time."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.clusters import Cluster, connect_server, standalone, worker
from fixtures.judging import MODEL, make_job, surface
from fixtures.kafka import KafkaServer
from fixtures.polling import poll
from fixtures.yarn import applications, yarn

from frameferry.config.connections import KafkaConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError, KafkaUnavailable, ModelMismatch, SparkUnavailable
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import judge

pytestmark = pytest.mark.timeout(900)
DEADLINE_SECONDS = 400
PICTURES = 24
ONCE = {"spark.task.maxFailures": "1"}


@pytest.fixture
def job(kafka_server: KafkaServer) -> JudgeJob:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(seed % 8) for seed in range(PICTURES)])
    return make_job(kafka_server, topic, OffsetRange(0, 0, PICTURES))


@pytest.fixture(scope="module")
def half_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master that no worker has come to."""
    with standalone(tmp_path_factory.mktemp("half-up"), workers=0) as cluster:
        yield cluster


def patiently(deadline_seconds: float, job: JudgeJob, cluster: Cluster, **sent: object) -> None:
    judge(job, cluster.connection(**sent), deadline_seconds=deadline_seconds)


def test_a_cluster_without_workers_is_told_by_spark_submit(half_up: Cluster, job: JudgeJob) -> None:
    started = time.monotonic()
    with pytest.raises(SparkUnavailable, match=r"spark://.* gave the job no executor in 60 s"):
        patiently(120, job, half_up)
    assert time.monotonic() - started < 120


def test_a_cluster_without_workers_is_told_by_a_connect_server(
    half_up: Cluster, job: JudgeJob, tmp_path: Path
) -> None:
    with (
        connect_server(half_up, tmp_path) as server,
        pytest.raises(SparkUnavailable, match=r"sc://.* gave the job no executor in 60 s"),
    ):
        judge(job, server.connection, deadline_seconds=120)


def test_a_yarn_without_nodes_is_told_and_what_waits_there_ends_with_the_first_one(
    job: JudgeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with yarn(tmp_path / "yarn", nodes=0) as cluster:
        monkeypatch.setenv("HADOOP_CONF_DIR", cluster.environment["HADOOP_CONF_DIR"])
        cluster.conf = {**cluster.conf, "spark.yarn.am.waitTime": "10s"}
        with pytest.raises(SparkUnavailable, match=r"yarn gave the job no executor in 120 s"):
            patiently(240, job, cluster)
        cluster.start("node-0")
        poll(
            lambda: {one["finalStatus"] for one in applications(cluster)} == {"FAILED"},
            "the end of what nobody waits for any more",
            seconds=300,
        )


def bare_python(folder: Path, version: str) -> str:
    """Make an environment with nothing in it, by the uv that made ours."""
    found = sorted(Path(os.environ.get("FRAMEFERRY_CACHE", ".cache")).glob("uv-*/bin/uv"))
    uv = shutil.which("uv") or str(found[-1])
    place = folder / f"python-{Path(version).name}"
    subprocess.run([uv, "venv", "--quiet", "--python", version, str(place)], check=True)
    return str(place / "bin" / "python")


def other_python(folder: Path) -> str:
    """Find a Python of another minor version on this machine; else have uv fetch one."""
    others = [f"3.{minor}" for minor in (10, 12, 13) if minor != sys.version_info.minor]
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for version in others:
        named = shutil.which(f"python{version}")
        for candidate in (*filter(None, [named]), *pyenv.glob(f"{version}.*/bin/python")):
            if (
                subprocess.run([candidate, "-c", ""], check=False, capture_output=True).returncode
                == 0
            ):
                return str(candidate)
    return bare_python(folder, others[0])


def test_a_python_without_our_package_is_named(
    standalone_cluster: Cluster, job: JudgeJob, tmp_path: Path
) -> None:
    python = bare_python(tmp_path, sys.executable)
    with pytest.raises(ConfigError, match=r"No module named '?frameferry.*Install frameferry"):
        patiently(DEADLINE_SECONDS, job, standalone_cluster, python=python)


def test_a_python_of_another_minor_version_is_named(
    standalone_cluster: Cluster, job: JudgeJob, tmp_path: Path
) -> None:
    connection = standalone_cluster.connection(python=other_python(tmp_path))
    # Its own daemon, since ours would miss its packages first.
    conf = {**connection.conf, "spark.python.daemon.module": "pyspark.daemon"}
    connection = connection.model_copy(update={"conf": conf})
    with pytest.raises(ConfigError, match=r"different.* version.*3\.1\d.*Give the executors"):
        judge(job, connection, deadline_seconds=DEADLINE_SECONDS)


def test_a_python_that_is_not_there_is_named(standalone_cluster: Cluster, job: JudgeJob) -> None:
    with pytest.raises(ConfigError, match=r"/nowhere/bin/python.*Name a Python"):
        patiently(DEADLINE_SECONDS, job, standalone_cluster, python="/nowhere/bin/python")


@pytest.fixture(scope="module")
def lopsided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Cluster, Path]]:
    """A worker as it should be, and one that sees no model and knows no `localhost`."""
    home = tmp_path_factory.mktemp("lopsided")
    model = home / "model" / "1"
    shutil.copytree(MODEL, model)
    (home / "hosts").write_text("203.0.113.1 localhost\n")
    with standalone(home / "cluster", workers=1) as cluster:
        own_view = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
        hide = f"mount -t tmpfs none {model.parent}; mount --bind {home / 'hosts'} /etc/hosts"
        cluster.commands["worker-odd"] = worker(
            cluster.home,
            "worker-odd",
            cluster.master,
            *own_view,
            "sh",
            "-ec",
            f'{hide}; exec "$@"',
            "sh",
        )
        cluster.start("worker-odd")
        yield cluster, model


def test_a_model_that_one_executor_cannot_read_is_told_with_the_executor(
    lopsided: tuple[Cluster, Path], job: JudgeJob
) -> None:
    cluster, model = lopsided
    asked = replace(job, model=ModelSettings(path=str(model)))
    connection = cluster.connection()
    connection = connection.model_copy(update={"conf": {**connection.conf, **ONCE}})
    with pytest.raises(ModelMismatch, match=r"executor on .*log: http.*there is no model"):
        judge(asked, connection, deadline_seconds=DEADLINE_SECONDS)


def test_a_model_that_travels_needs_no_shared_folder(
    lopsided: tuple[Cluster, Path], job: JudgeJob
) -> None:
    cluster, model = lopsided
    asked = replace(job, model=ModelSettings(path=str(model)))
    connection = cluster.connection(ship_model=True)
    answer = judge(asked, connection, deadline_seconds=DEADLINE_SECONDS)
    assert PICTURES == sum(one.label is not None for one in answer.predictions)


def test_an_executor_that_cannot_reach_kafka_is_told(
    lopsided: tuple[Cluster, Path], job: JudgeJob
) -> None:
    cluster, _ = lopsided
    by_name = str(job.kafka.options["bootstrap.servers"]).replace("127.0.0.1", "localhost")
    kafka = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": by_name})
    asked = replace(job, kafka=kafka)
    connection = cluster.connection()
    connection = connection.model_copy(update={"conf": {**connection.conf, **ONCE}})
    with pytest.raises(KafkaUnavailable, match=r"executor on .*log: http"):
        judge(asked, connection, deadline_seconds=DEADLINE_SECONDS)
