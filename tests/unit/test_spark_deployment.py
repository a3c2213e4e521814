"""What is sent to a cluster is what the connection's extra says, and nothing is misread."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from frameferry.config.connections import KafkaConnection, SparkConnection, spark_connection
from frameferry.config.deployment import Deployment
from frameferry.config.raw import RawConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError, ConnectionMissing, SparkUnavailable
from frameferry.inference.digest import judge_digest
from frameferry.spark import gpus
from frameferry.spark.deployment import (
    check_deployment,
    deployment_conf,
    packed_model,
    takes_model,
    with_archive,
)
from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.reach import probe, yarn_managers

MODEL = Path(__file__).parents[2] / "include" / "models" / "surface" / "1"

JOB = JudgeJob(
    pipeline="press-a",
    topic="press-a.images",
    kafka=KafkaConnection(conn_id="k", options={"bootstrap.servers": "k:9092"}),
    ranges=(OffsetRange(0, 0, 1),),
    filename_header="filename",
    model=ModelSettings(path="m"),
    batch_id=1,
    attempt=1,
)


def connection(host: str = "yarn", conn_type: str = "spark", **extra: Any) -> SparkConnection:
    return spark_connection(RawConnection("it", conn_type, host, extra=extra))


def conf(*, is_yarn: bool = False, **fields: Any) -> dict[str, str]:
    return deployment_conf(Deployment.model_validate(fields), is_yarn=is_yarn)


def test_nothing_is_sent_unless_asked_for() -> None:
    assert {"spark.submit.deployMode": "client"} == conf()


def test_a_python_of_the_executors_is_not_the_drivers_here() -> None:
    sent = conf(python="/opt/frameferry/bin/python")
    assert "/opt/frameferry/bin/python" == sent["spark.pyspark.python"]
    assert "/opt/frameferry/bin/python" != sent["spark.pyspark.driver.python"]


def test_a_driver_on_the_cluster_has_the_executors_python_and_is_begun_once() -> None:
    sent = conf(deploy_mode="cluster", folder="/shared", python="/opt/f/bin/python", is_yarn=True)
    assert {
        "spark.submit.deployMode": "cluster",
        "spark.pyspark.python": "/opt/f/bin/python",
        "spark.yarn.maxAppAttempts": "1",
    } == sent


@pytest.mark.parametrize("is_yarn", [False, True])
def test_modules_are_there_when_the_daemon_begins(is_yarn: bool) -> None:
    sent = conf(py_files=("/tmp/a.zip", "hdfs:///b.zip"), is_yarn=is_yarn)
    assert "/tmp/a.zip,hdfs:///b.zip" == sent["spark.submit.pyFiles"]
    assert (None if is_yarn else "a.zip:b.zip") == sent.get("spark.executorEnv.PYTHONPATH")


def test_archives_are_added_to_those_that_are_there() -> None:
    sent = conf(archives=("/e.tar.gz#env",), python="./env/bin/python")
    assert "/e.tar.gz#env,/m.zip#m" == with_archive(sent, "/m.zip#m")["spark.archives"]
    assert "/m.zip#m" == with_archive({}, "/m.zip#m")["spark.archives"]


@pytest.mark.parametrize(
    ("per_task", "of_task", "of_executor"), [(1, "1", "1"), (0.25, "0.25", "1"), (2, "2", "2")]
)
def test_gpus_are_asked_for_and_their_memory_grows(
    per_task: float, of_task: str, of_executor: str
) -> None:
    sent = conf(gpus_per_task=per_task)
    assert of_task == sent["spark.task.resource.gpu.amount"]
    assert of_executor == sent["spark.executor.resource.gpu.amount"]
    assert "true" == sent["spark.executorEnv.TF_FORCE_GPU_ALLOW_GROWTH"]


@pytest.mark.parametrize(("before", "after"), [(None, "3,5"), ("7", "7")])
def test_a_worker_sees_the_gpus_of_its_first_task_alone(
    before: str | None, after: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if before:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", before)
    resources = {"gpu": SimpleNamespace(addresses=["3", "5"])}
    context = SimpleNamespace(resources=lambda: resources)
    monkeypatch.setattr(gpus.TaskContext, "get", lambda: context)
    gpus.pin_gpus()
    assert after == gpus.os.environ["CUDA_VISIBLE_DEVICES"]


def test_where_spark_counts_no_gpus_none_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for context in (None, SimpleNamespace(resources=dict)):
        monkeypatch.setattr(gpus.TaskContext, "get", lambda context=context: context)
        gpus.pin_gpus()
    assert "CUDA_VISIBLE_DEVICES" not in gpus.os.environ


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({"archive": ["a"]}, "unknown key archive"),
        ({"deploy_mode": "cluster"}, "needs folder"),
        ({"deploy_mode": "cluster", "folder": "shared"}, "absolute"),
        ({"archives": ["/env.tar.gz"]}, "write /env.tar.gz as /env.tar.gz#NAME"),
        ({"python": "./env/bin/python"}, "neither absolute nor in an archive"),
        ({"python": "./e/bin/python", "archives": ["/env.tar.gz#env"]}, "there are env"),
        ({"gpus_per_task": 0}, "gpus_per_task"),
        ({"py_files": "a.zip"}, "py_files"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(extra: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConnectionMissing, match=expected):
        connection(**extra)


def test_what_is_a_connect_servers_own_is_refused() -> None:
    with pytest.raises(ConnectionMissing, match="archives, python: a Spark Connect server has its"):
        connection("s", "spark_connect", archives=["/e.zip#e"], python="/p")


def test_only_yarn_takes_a_driver() -> None:
    with pytest.raises(ConnectionMissing, match="spark://m:7077 takes no Python driver"):
        connection("m", deploy_mode="cluster", folder="/shared")


def test_airflows_own_words_mean_the_same() -> None:
    extra = {"deploy-mode": "cluster", "queue": "ovens", "folder": "/shared", "spark-binary": ""}
    found = connection(**extra, conf={"spark.x": "1"})
    assert "cluster" == found.deployment.deploy_mode
    assert {"spark.yarn.queue": "ovens", "spark.x": "1"} == found.conf


def test_a_file_that_is_not_here_is_told_before_spark_begins(tmp_path: Path) -> None:
    found = connection(archives=[f"{tmp_path}/env.tar.gz#env", "hdfs:///other.zip#o"])
    with pytest.raises(ConfigError, match=r"'it': there is no \S+env.tar.gz here"):
        check_deployment(found)
    (tmp_path / "env.tar.gz").touch()
    check_deployment(found)


@pytest.mark.parametrize("named", ["folder", "model"])
def test_a_packed_model_is_the_same_model(named: str, tmp_path: Path) -> None:
    copy = tmp_path / "surface" / "1"
    shutil.copytree(MODEL, copy)
    (copy / "unrelated.bin").write_bytes(b"x")
    kept = ["a.png", "inputs.npy", "outputs.npy"]
    for name in kept:
        (copy / name).write_bytes(b"x")
    with (copy / "card.yaml").open("a", encoding="utf-8") as card:
        card.write("parity: [{picture: a.png, inputs: inputs.npy, outputs: outputs.npy}]\n")
    inside = next(one for one in copy.iterdir() if one.suffix == ".keras")
    settings = ModelSettings(path=str(copy if named == "folder" else inside))
    job = replace(JOB, model=settings)
    for asked in (job, ControlJob(job)):
        moved, archive = packed_model(asked, tmp_path)
        path, _, name = archive.partition("#")
        there = tmp_path / "executor" / name
        with zipfile.ZipFile(path) as packed:
            assert "unrelated.bin" not in packed.namelist()
            assert {*kept} < {*packed.namelist()}
            packed.extractall(there)
        model = (moved.of if isinstance(moved, ControlJob) else moved).model
        assert not Path(model.name).is_absolute()
        place = model.model_copy(update={"path": str(there.parent / model.name)})
        assert judge_digest(place) == judge_digest(settings)


def test_a_model_travels_where_it_is_asked_to_and_a_class_of_yours_never_does() -> None:
    own = replace(JOB, model=ModelSettings(judge="judges.sharpness:Judge"))
    asked = connection(ship_model=True)
    assert takes_model(JOB, asked)
    assert takes_model(ControlJob(JOB), asked)
    assert not takes_model(own, asked)
    assert not takes_model(ControlJob(own), asked)
    assert not takes_model(JOB, connection())
    assert not takes_model(JOB, connection("local[2]", ship_model=True))


def test_yarn_is_where_hadoops_settings_say(tmp_path: Path) -> None:
    site = tmp_path / "yarn-site.xml"
    properties = {
        "yarn.resourcemanager.ha.rm-ids": "a,b",
        "yarn.resourcemanager.address.a": "one:8050",
        "yarn.resourcemanager.hostname.b": "two",
    }
    site.write_text(xml(properties))
    assert ["one:8050", "two"] == yarn_managers({"HADOOP_CONF_DIR": str(tmp_path)})
    site.write_text(xml({"yarn.resourcemanager.hostname": "one"}))
    assert ["one"] == yarn_managers({"YARN_CONF_DIR": str(tmp_path)})


def test_a_yarn_that_nobody_says_where_it_is_or_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("YARN_CONF_DIR", raising=False)
    with pytest.raises(ConfigError, match="Set HADOOP_CONF_DIR"):
        probe("yarn")
    monkeypatch.setenv("HADOOP_CONF_DIR", str(tmp_path))
    with pytest.raises(ConfigError, match=r"yarn-site.xml cannot be read"):
        probe("yarn")
    (tmp_path / "yarn-site.xml").write_text(xml({"yarn.resourcemanager.address": "127.0.0.1:1"}))
    with pytest.raises(
        SparkUnavailable, match=r"manager of yarn, 127.0.0.1:1 \(Connection refused"
    ):
        probe("yarn")


def xml(properties: dict[str, str]) -> str:
    inside = "".join(
        f"<property><name>{name}</name><value>{value}</value></property>"
        for name, value in properties.items()
    )
    return f"<configuration>{inside}</configuration>"
