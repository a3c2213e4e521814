"""Every door locked, and the scheduler carries all the same; nothing shows a secret anywhere."""

from __future__ import annotations

import base64
import functools
import html
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
import yaml
from fixtures.airflow_api import door_of
from fixtures.ferry import ROOT, delivered_files
from fixtures.judging import surface
from fixtures.marks import found, marked
from fixtures.polling import poll
from fixtures.secured_plant import SECRETS, SecuredPlant, secured_plant
from fixtures.surfaces import (
    Commands,
    airflow_answers,
    failed_tries,
    files,
    postgres_rows,
    spark_pages,
    sqlite_rows,
)

from frameferry.stack import stack

FRAMEFERRY = str(Path(sys.executable).with_name("frameferry"))
WRONG = {
    "wrong-kafka": ({"kafka": "wrong_kafka", "model": "none"}, "wait"),
    "wrong-ftp": ({"deliver": "wrong_ftp", "model": "none"}, "batch.deliver"),
}
"""Pipelines with one wrong password each, and the task that meets it."""
SAID = {
    "wrong-kafka": b"refused the log-in",
    "wrong-ftp": b"530",
}
"""What the failing task says, so that we know that it met the closed door."""


@pytest.fixture(scope="module")
def plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredPlant]:
    with secured_plant(tmp_path_factory.mktemp("plant")) as found:
        yield found


@pytest.fixture
def home(tmp_path: Path, plant: SecuredPlant, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a good pipeline and three others, and all connections in a file of Airflow's."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        monkeypatch.delenv(name)
    (tmp_path / "pipelines").mkdir()
    for name, (changes, _) in {"good": ({}, ""), **WRONG}.items():
        topic = plant.kafka.server.create_topic(partitions=1)
        plant.kafka.server.produce(topic, [surface(0), surface(1)])
        content = plant.pipeline(name, topic, **changes)
        (tmp_path / "pipelines" / f"{name}.yaml").write_text(yaml.safe_dump(content))
    topic = plant.kafka.server.create_topic(partitions=1)
    plant.kafka.server.produce(topic, [surface(2)])
    content = plant.pipeline("wrong-spark", topic, spark="wrong_spark")
    (tmp_path / "by-hand").mkdir()
    (tmp_path / "by-hand" / "wrong-spark.yaml").write_text(yaml.safe_dump(content))
    kept = tmp_path / "connections.json"
    kept.touch(mode=0o600)
    connections = plant.connections()
    del connections["plant_kafka"]
    kept.write_text(json.dumps(connections))
    backend = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
    for name, value in {
        "AIRFLOW__SECRETS__BACKEND": backend,
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps({"connections_file_path": str(kept)}),
        "FRAMEFERRY_HOME": str(tmp_path / "home"),
        "FRAMEFERRY_PIPELINES": str(tmp_path / "pipelines"),
        "FRAMEFERRY_LEDGER_URL": plant.ledger_url,
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path / "home"


@pytest.fixture
def door(home: Path, plant: SecuredPlant) -> Iterator[httpx.Client]:
    """A running Airflow, one of whose connections was typed into its form."""
    try:
        stack.up(["airflow"])
        with door_of(stack.status()["airflow"]) as client:
            typed = plant.connections()["plant_kafka"]
            fields = {"connection_id": "plant_kafka", **typed, "extra": json.dumps(typed["extra"])}
            assert client.post("/connections", json=fields).is_success
            yield client
    finally:
        stack.down()


@pytest.mark.timeout(900)
def test_a_chain_whose_every_door_is_locked_shows_no_secret(
    plant: SecuredPlant, home: Path, door: httpx.Client
) -> None:
    commands = Commands()
    with commands.watched():
        carried_and_refused(plant, door)
        said = told(plant, home.parent / "by-hand")
    shown = {
        **airflow_answers(door),
        **sqlite_rows("Airflow's database", home / "airflow" / "airflow.db"),
        **said,
        **spark_pages(plant.spark_pages),
        **postgres_rows("ledger", plant.postgres.url(plant.database), "frameferry"),
        **files("home", home, but={home / "stack.json"}),
        **files("Spark", plant.spark.files.home, but={plant.spark_conf}),
        "processes": "\n".join(commands.lines).encode(),
    }
    assert [] == found(SECRETS, shown)
    assert_all_was_looked_at(shown, commands)


def carried_and_refused(plant: SecuredPlant, door: httpx.Client) -> None:
    """Wait until the good pipeline has delivered, and each other one has met its closed door."""
    files_of = functools.partial(delivered_files, plant.ftp, "/good")
    poll(lambda: 2 == len(files_of()), "the pictures", seconds=300, every=0.5)
    for name, (_, task) in WRONG.items():
        dag = f"ferry__{name}"
        failed = functools.partial(failed_tries, door, dag, task)
        poll(failed, f"{task} of {name}", seconds=240, every=1)


def told(plant: SecuredPlant, by_hand: Path) -> dict[str, bytes]:
    """Run commands as people do, with the right secrets and with wrong ones; keep what they say."""
    named = {f"AIRFLOW_CONN_{k.upper()}": json.dumps(v) for k, v in plant.connections().items()}
    environment = {**os.environ, **named, "COLUMNS": "250"}
    wrong = {**environment, "FRAMEFERRY_LEDGER_URL": plant.wrong_ledger_url}
    asked = {
        "doctor": environment,
        "run wrong-spark": environment | {"FRAMEFERRY_PIPELINES": str(by_hand)},
        "probe wrong_ftp": environment,
        "stack status": environment,
        "ledger status": wrong,
    }
    return {command: output(command, variables) for command, variables in asked.items()}


def output(command: str, environment: Mapping[str, str]) -> bytes:
    done = subprocess.run(
        [FRAMEFERRY, *command.split()],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        timeout=300,
        check=False,
    )
    return done.stdout + done.stderr


def assert_all_was_looked_at(shown: Mapping[str, bytes], commands: Commands) -> None:
    """Where nothing is searched nothing is found."""

    def said(part: str) -> bytes:
        return b"".join(content for place, content in shown.items() if part in place)

    assert commands.looks > 20
    assert any("SparkConnectServer" in line for line in commands.lines)
    for page in ("/environment", "/connect", "/SQL/execution", "/executors"):
        assert b"frameferry" in said(page), page
    assert b"SparkListenerJobEnd" in said("Spark: events")
    assert b"good" in said("rendered_task_instance_fields")
    assert b"plant_kafka" in said("Airflow's database: connection")
    assert b"plant_kafka" in said("Airflow's database: log")
    assert b"return_value" in said("xcom")
    assert b"wrong-kafka" in said("frameferry/status.json")
    assert b"good" in said("ledger: pipeline")
    for name, words in SAID.items():
        logs = [content for place, content in shown.items() if name in place and "/logs/" in place]
        assert any(words in content for content in logs), name
    assert b"password authentication failed" in shown["ledger status"]
    assert b"Invalid authentication token" in shown["run wrong-spark"]


def test_a_secret_is_found_in_whatever_form_it_was_written_down() -> None:
    secret = marked("it")
    for text in (
        json.dumps({"extra": json.dumps({"password": secret})}),
        f"<td>{html.escape(secret)}</td>",
        f"ftp://ferry:{quote(secret, safe='')}@host",
        repr({"password": secret}),
    ):
        assert ["it in page"] == found({"it": secret}, {"page": text.encode()}), text
    for before in range(4):
        encoded = base64.b64encode(b"x" * before + secret.encode() + b"yz")
        assert ["it in page"] == found({"it": secret}, {"page": encoded})
    assert [] == found({"it": secret}, {"page": marked("other").encode()})
