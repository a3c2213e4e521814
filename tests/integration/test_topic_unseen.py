"""Kafka's "no such topic" of a topic that the ledger knows: tried again, and said as what it is."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import running_kafka
from fixtures.polling import poll

from frameferry.errors import FrameferryError, TopicMissing, TopicUnseen, TransientError
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import world
from frameferry.stack import kafka, processes, servers


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic(partitions=2)
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


@pytest.fixture
def ctx(ferry: FerryBench) -> Iterator[Context]:
    with ferry.context() as opened:
        yield opened


def test_every_step_tries_again_a_topic_that_it_knows(ctx: Context, kafka_server: Any) -> None:
    topic = ctx.settings.kafka.topic
    kafka_server.produce(topic, [b"one", b"two"])
    (batch,) = steps.plan(ctx).batch_ids
    steps.infer(ctx, batch)
    kafka_server.delete_topic(topic)
    for step in (steps.wait, steps.plan, lambda ctx: steps.deliver(ctx, batch)):
        with pytest.raises(TopicUnseen) as caught:
            step(ctx)
        assert isinstance(caught.value, TransientError)
        assert "The ledger knows this topic" in str(caught.value)
        assert "Create it" not in str(caught.value)
    # What people read in status is what the step said.
    (leaf,) = world.state(ctx).open_batches
    assert "The ledger knows this topic" in str(leaf.last_error)


def test_a_topic_or_partition_that_nobody_knows_is_missing(
    tmp_path: Path, kafka_server: Any, ftp_server: Any
) -> None:
    never = bench(tmp_path / "a", topic="never-made", kafka=kafka_server, ftp=ftp_server)
    with never.context() as ctx, pytest.raises(TopicMissing, match="Create it"):
        steps.plan(ctx)
    topic = kafka_server.create_topic(partitions=2)
    fewer = bench(tmp_path / "b", topic=topic, kafka=kafka_server, ftp=ftp_server)
    with fewer.context() as ctx:
        steps.plan(ctx)
    fewer.content["kafka"]["partitions"] = [0, 1, 7]
    with fewer.context() as ctx, pytest.raises(TopicMissing, match="no partition 7"):
        steps.plan(ctx)


def test_nothing_that_a_starting_broker_says_is_terminal(tmp_path: Path, ftp_server: Any) -> None:
    """It is asked without a pause while it is killed and started again."""
    with running_kafka(tmp_path / "home") as server:
        topic = server.create_topic(partitions=4)
        ferry = bench(tmp_path, topic=topic, kafka=server, ftp=ftp_server)
        said: list[FrameferryError] = []
        is_back = threading.Event()

        def ask() -> None:
            with ferry.context() as ctx:
                while not is_back.is_set():
                    try:
                        steps.wait(ctx)
                    except FrameferryError as error:
                        said.append(error)

        with ferry.context() as ctx:
            steps.plan(ctx)
        asking = threading.Thread(target=ask)
        asking.start()
        spawned = server.files.state.server("kafka").processes["kafka"]
        os.kill(spawned.pid, signal.SIGKILL)
        poll(lambda: not processes.is_alive(spawned), "its end")
        servers.start(kafka.KIND, server.files)
        is_back.set()
        asking.join(60)
        assert not asking.is_alive()
        with ferry.context() as ctx:
            steps.wait(ctx)
    assert [] == [error for error in said if not isinstance(error, TransientError)]
