"""A real triggerer and a real api-server outlive the processes that ask Kafka for them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from fixtures.polling import poll
from fixtures.processes import command_line

from frameferry.config.home import home
from frameferry.ledger.opening import open_ledger
from frameferry.stack import stack
from frameferry.stack.state import StateFile

NAME = "line-000"
TOPIC = f"{NAME}.images"


@pytest.fixture
def ferrying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psutil.Process]:
    """One pipeline under an Airflow of its own; its triggerer."""
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FRAMEFERRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(tmp_path / "pipelines"))
    content = {
        "pipeline": NAME,
        "kafka": {"connection": "plant_kafka", "topic": TOPIC},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": f"/{NAME}"},
        "batch": {"linger_seconds": 0},
    }
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / f"{NAME}.yaml").write_text(yaml.safe_dump(content))
    try:
        stack.up(["kafka", "ftp"])
        create_topic()
        stack.up(["airflow"])
        yield process("airflow-triggerer")
    finally:
        stack.down()


def test_envoys_that_die_take_no_deferred_task_and_no_page_with_them(
    ferrying: psutil.Process, tmp_path: Path
) -> None:
    api_server = process("airflow-api-server")
    poll(lambda: envoys(ferrying), "a look by an envoy", seconds=120)
    (envoy,) = envoys(ferrying)
    envoy.send_signal(signal.SIGABRT)
    # Where it met a question, the task that waits is tried again after its delay.
    poll(partial(is_another, envoy, ferrying), "another envoy", seconds=180)
    produce(b"a picture")
    ledger = open_ledger(f"sqlite:///{tmp_path}/home/ledger.db")
    try:
        poll(lambda: 1 == ledger.counts(NAME).delivered, "the picture", seconds=180)
    finally:
        ledger.close()
    told = page()
    (envoy,) = envoys(api_server)
    envoy.send_signal(signal.SIGABRT)
    assert told["records"] == page()["records"] == 1
    assert ferrying.is_running()
    assert api_server.is_running()


def process(name: str) -> psutil.Process:
    return psutil.Process(StateFile(home()).state.servers["airflow"].processes[name].pid)


def envoys(of: psutil.Process) -> list[psutil.Process]:
    return [
        child
        for child in of.children(recursive=True)
        if "frameferry.kafka.envoy_process" in command_line(child)
    ]


def is_another(before: psutil.Process, of: psutil.Process) -> bool:
    now = envoys(of)
    return bool(now) and before not in now


def create_topic() -> None:
    admin = AdminClient({"bootstrap.servers": servers(), "log_level": 0})
    admin.create_topics([NewTopic(TOPIC, 1, 1)])[TOPIC].result(30)


def produce(value: bytes) -> None:
    producer = Producer({"bootstrap.servers": servers(), "log_level": 0})
    producer.produce(TOPIC, value, partition=0)
    assert 0 == producer.flush(30)


def servers() -> str:
    return str(stack.status()["kafka"]["bootstrap_servers"])


def page() -> dict[str, object]:
    """Ask the page of the real api-server for the one pipeline."""
    door = stack.status()["airflow"]
    login = {"username": door["user"], "password": door["password"]}
    token = httpx.post(f"{door['url']}/auth/token", json=login, timeout=30).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    answer = httpx.get(f"{door['url']}/frameferry/status.json", headers=headers, timeout=30)
    (one,) = answer.json()["pipelines"]
    return dict(one)
