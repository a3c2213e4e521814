"""
Count the runs that pipelines make which have nothing to do, under the real scheduler, for minutes.

    python benchmarks/idling.py            three minutes
    python benchmarks/idling.py 10         ten minutes

One Airflow, one pipeline a state, and two that show that the count counts: one that gets a picture
every second, and one whose Kafka is not there. A run that waits is one run, however long.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context, open_context
from frameferry.pipeline.run import run_once
from frameferry.stack import stack

HOUR: Final = 3600.0
TIMEOUT: Final = 30
READY_SECONDS: Final = 300
TRICKLE: Final = "trickle"
KAFKA_DOWN: Final = "kafka-down"
NOBODY: Final = '{"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:1"}}'


class Broker:
    """Make topics, fill them, and take from them as retention does."""

    def __init__(self, servers: str) -> None:
        self._admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        self._producer = Producer({"bootstrap.servers": servers, "log_level": 0})

    def create(self, topic: str) -> None:
        self._admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(TIMEOUT)

    def send(self, topic: str, number: int) -> None:
        for at in range(number):
            self._producer.produce(topic, f"{time.time()} {at}".encode(), partition=0)
        self._producer.flush(TIMEOUT)

    def forget_before(self, topic: str, offset: int) -> None:
        asked = self._admin.delete_records([TopicPartition(topic, 0, offset)])
        for future in asked.values():
            future.result(TIMEOUT)


def idle(ctx: Context, broker: Broker) -> None:
    """Carry three pictures; no more come."""
    broker.send(ctx.settings.kafka.topic, 3)
    run_once(ctx)


def blocked(ctx: Context, broker: Broker) -> None:
    """Have a backlog, and a person who has to free it."""
    steps.plan(ctx)
    broker.send(ctx.settings.kafka.topic, 200)
    ctx.ledger.block(ctx.pipeline, reason="the server refused the password", digest=None)


def backing_off(ctx: Context, broker: Broker) -> None:
    """Have one batch that backs off for an hour, and no room for another."""
    broker.send(ctx.settings.kafka.topic, 200)
    for batch_id in steps.plan(ctx).batch_ids:
        token = ctx.ledger.claim(batch_id, owner="bench", lease_seconds=1).token
        ctx.ledger.record_failure(token, error="Kafka is down", retry_after_seconds=HOUR)
        ctx.ledger.release(token)


def waiting_for_a_gap(ctx: Context, broker: Broker) -> None:
    """Have lost three pictures that nobody has accepted, and carried those behind them."""
    steps.plan(ctx)
    broker.send(ctx.settings.kafka.topic, 5)
    broker.forget_before(ctx.settings.kafka.topic, 3)
    run_once(ctx)


def leased(ctx: Context, broker: Broker) -> None:
    """Have batches that another process works on, and no room for another."""
    broker.send(ctx.settings.kafka.topic, 200)
    for batch_id in steps.plan(ctx).batch_ids:
        ctx.ledger.claim(batch_id, owner="another process", lease_seconds=HOUR)


def nothing_yet(ctx: Context, broker: Broker) -> None:
    """Have an empty topic."""


STATES: Final[dict[str, Callable[[Context, Broker], None]]] = {
    "idle": idle,
    "blocked": blocked,
    "backing-off": backing_off,
    "gap": waiting_for_a_gap,
    "leased": leased,
    TRICKLE: nothing_yet,
}


class Airflow:
    """Ask the api-server for the runs of a pipeline's DAG."""

    def __init__(self, url: str, user: str, password: str) -> None:
        login = {"username": user, "password": password}
        token = httpx.post(f"{url}/auth/token", json=login, timeout=TIMEOUT).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT)

    def runs(self, pipeline: str) -> int:
        """Count its runs, the one that waits included."""
        answer = self._client.get(f"/api/v2/dags/ferry__{pipeline}/dagRuns", params={"limit": 1})
        return int(answer.json()["total_entries"]) if answer.is_success else 0


def write_pipeline(name: str, connection: str = "plant_kafka") -> None:
    content: dict[str, Any] = {
        "pipeline": name,
        "kafka": {"connection": connection, "topic": f"{name}.images"},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": f"/{name}"},
        "batch": {"max_open": 1, "max_records": 100},
    }
    pipelines_folder().mkdir(parents=True, exist_ok=True)
    (pipelines_folder() / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


def bring_into_state(name: str, broker: Broker) -> None:
    write_pipeline(name)
    broker.create(f"{name}.images")
    settings = find_pipeline(pipelines_folder(), name)
    with open_context(settings, resolve_from_environment) as ctx:
        STATES[name](ctx, broker)


def batches_of(name: str) -> tuple[int, int]:
    """Count a pipeline's batches and its delivered pictures."""
    settings = find_pipeline(pipelines_folder(), name)
    with open_context(settings, resolve_from_environment) as ctx:
        counts = ctx.ledger.counts(name)
        return counts.batches, counts.delivered


def wait_for_first_runs(airflow: Airflow) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not all(airflow.runs(name) for name in STATES):
        if time.monotonic() > deadline:
            sys.exit("the scheduler made no runs")
        time.sleep(1)


def measure(minutes: float, broker: Broker, airflow: Airflow) -> None:
    """Let it run, a picture a second into one topic, and print what was made meanwhile."""
    names = [*STATES, KAFKA_DOWN]
    before = {name: airflow.runs(name) for name in names}
    carried = batches_of(TRICKLE)
    end = time.monotonic() + minutes * 60
    while time.monotonic() < end:
        broker.send(f"{TRICKLE}.images", 1)
        time.sleep(1)
    print(f"{'pipeline':<14}{'runs in ' + f'{minutes:g} min':>14}{'in all':>8}")
    for name in names:
        runs = airflow.runs(name)
        print(f"{name:<14}{runs - before[name]:>14}{runs:>8}")
    batches, delivered = (
        now - then for now, then in zip(batches_of(TRICKLE), carried, strict=True)
    )
    print(f"{TRICKLE}: {delivered} pictures in {batches} batches")


@contextmanager
def servers() -> Any:  # noqa: ANN401 - a context manager of nothing
    """Start what is needed in a home of its own, and stop it whatever happens."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FRAMEFERRY_HOME"] = folder
        os.environ["FRAMEFERRY_PIPELINES"] = str(Path(folder, "pipelines"))
        os.environ["AIRFLOW_CONN_NOBODYS_KAFKA"] = NOBODY
        try:
            stack.up(["kafka", "ftp"])
            os.environ.update(stack.environment())
            yield
        finally:
            stack.down()


def main() -> None:
    """Bring each pipeline into its state, then let Airflow run."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 3
    with servers():
        broker = Broker(stack.status()["kafka"]["bootstrap_servers"])
        for name in STATES:
            bring_into_state(name, broker)
        write_pipeline(KAFKA_DOWN, connection="nobodys_kafka")
        stack.up(["airflow"])
        door = stack.status()["airflow"]
        airflow = Airflow(door["url"], door["user"], door["password"])
        wait_for_first_runs(airflow)
        measure(minutes, broker, airflow)


if __name__ == "__main__":
    main()
