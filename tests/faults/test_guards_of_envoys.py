"""What an envoy answers is the answer to what was asked, and of whom: a pipeline begins by it."""

from __future__ import annotations

import socket
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

import pytest
from fixtures.demands import demand
from fixtures.ferry import FerryBench, bench

from frameferry.errors import KafkaUnavailable
from frameferry.kafka.envoy_cluster import EnvoyCluster
from frameferry.kafka.envoys import Envoys
from frameferry.pipeline import steps


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server) -> FerryBench:
    return bench(tmp_path, topic=kafka_server.create_topic(), kafka=kafka_server, ftp=ftp_server)


def test_a_kafka_that_is_silent_is_not_taken_for_another(ferry, kafka_server) -> None:
    """Two plants have topics of one name: the second's pipeline would begin in the first's log."""
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"x"] * 3)
    kafka_server.delete_records(topic, {0: 2})
    with (
        closing(Envoys()) as envoys,
        socket.create_server(("127.0.0.1", 0)) as silent,
        ferry.context() as ctx,
    ):
        with closing(EnvoyCluster(envoys, ctx.kafka, timeout_seconds=1)) as first:
            assert 2 == first.view(topic, None).watermarks[0].low
        second = ctx.settings.model_copy(update={"pipeline": "second"})
        extra = {"bootstrap.servers": f"127.0.0.1:{silent.getsockname()[1]}"}
        ferry.connections["plant_kafka"] = {"conn_type": "kafka", "extra": extra}
        waiting = replace(
            ctx,
            settings=second,
            kafka_timeout_seconds=1,
            open_cluster=partial(EnvoyCluster, envoys),
        )
        with suppress(KafkaUnavailable):
            steps.wait(waiting)
        known = ctx.ledger.pipeline_state("second")
        demand(known is None, "no other topic passes for this one", known)
