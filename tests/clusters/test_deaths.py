"""Executors and a whole machine killed in the middle of a batch: each picture once, none blamed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.by_hand import one_batch
from fixtures.clusters import Cluster, connect_server
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL, slow_picture
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.domain.offsets import OffsetRange
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up

pytestmark = pytest.mark.timeout(900)
PICTURES = 40
"""Of half a second and more each: the batch is under way for long enough to be hit twice."""


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [slow_picture()] * PICTURES)
    made = bench(
        tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server, model={"path": str(MODEL)}
    )
    made.content["spark"] = {"startup_seconds": 600}
    return made


def submitting(ferry: FerryBench, cluster: Cluster) -> None:
    ferry.connections["spark_default"] = {
        "conn_type": "spark",
        "host": cluster.master,
        "extra": {"conf": dict(cluster.conf)},
    }


@contextmanager
def carried(ctx: Context) -> Iterator[threading.Thread]:
    """Carry the pipeline's one batch meanwhile."""
    failures: list[BaseException] = []

    def carry() -> None:
        try:
            run_until_caught_up(ctx, stalled_seconds=600)
        except BaseException as error:  # noqa: BLE001 - a thread's error is the test's
            failures.append(error)

    thread = threading.Thread(target=carry)
    thread.start()
    yield thread
    thread.join(800)
    assert not failures, failures
    assert not thread.is_alive()


def strike(cluster: Cluster, running: threading.Thread) -> None:
    """Kill one executor while it judges, then the machine with the others on it."""
    poll(cluster.judging, "a judging executor", seconds=400)
    victim = cluster.judging()[0]
    victim.kill()
    poll(
        lambda: {one.pid for one in cluster.judging()} - {victim.pid},
        "another one that judges",
        seconds=200,
    )
    machine = next(name for name in cluster.machines() if cluster.judging(name))
    assert running.is_alive()
    cluster.kill_machine(machine)
    assert running.is_alive()
    cluster.start(machine)


def assert_each_once(ferry: FerryBench, ctx: Context, ftp_server: Any, batch: int) -> None:
    files = delivered_files(ftp_server, ferry.content["deliver"]["base"])
    assert PICTURES == len(files)
    assert {slow_picture()} == set(files.values())
    assert [] == ctx.ledger.quarantined(ctx.pipeline)
    assert {0: PICTURES} == ctx.ledger.committed_offsets(ctx.pipeline)
    # It never failed: Spark mended it, and nothing was split or charged.
    assert 0 == ctx.ledger.batch(batch).trouble.charges
    assert 1 == ctx.ledger.counts(ctx.pipeline).batches


def test_an_executor_and_a_machine_die_under_a_submitted_job(
    ferry: FerryBench, cluster: Cluster, ftp_server: Any
) -> None:
    submitting(ferry, cluster)
    with ferry.context() as ctx:
        batch = one_batch(ctx, OffsetRange(0, 0, PICTURES))
        with carried(ctx) as running:
            strike(cluster, running)
        assert_each_once(ferry, ctx, ftp_server, batch)


def test_an_executor_and_a_machine_die_under_a_connect_server(
    ferry: FerryBench, standalone_cluster: Cluster, ftp_server: Any
) -> None:
    with connect_server(standalone_cluster, ferry.folder / "connect") as server:
        host, _, port = server.url.removeprefix("sc://").partition(":")
        ferry.connections["spark_default"] |= {"host": host, "port": int(port)}
        with ferry.context() as ctx:
            batch = one_batch(ctx, OffsetRange(0, 0, PICTURES))
            with carried(ctx) as running:
                strike(standalone_cluster, running)
            assert_each_once(ferry, ctx, ftp_server, batch)
