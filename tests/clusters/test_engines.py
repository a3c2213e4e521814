"""A judged batch on each engine and by each route, on real processes."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.clusters import Cluster, connect_server
from fixtures.judging import make_job, surface
from fixtures.kafka import KafkaServer

from frameferry.config.connections import SparkConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import judge

pytestmark = pytest.mark.timeout(600)
DEADLINE_SECONDS = 400
PICTURES = 24


@pytest.fixture
def job(kafka_server: KafkaServer) -> JudgeJob:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(seed % 8) for seed in range(PICTURES)])
    return make_job(kafka_server, topic, OffsetRange(0, 0, PICTURES))


def judged(job: JudgeJob, connection: SparkConnection) -> list[tuple[int, str | None]]:
    answer = judge(job, connection, deadline_seconds=DEADLINE_SECONDS)
    return [(one.offset, one.reason) for one in answer.predictions]


ALL = [(offset, None) for offset in range(PICTURES)]


def test_spark_submit_in_client_mode(cluster: Cluster, job: JudgeJob) -> None:
    assert ALL == judged(job, cluster.connection())


def test_a_connect_server_on_the_cluster(cluster: Cluster, job: JudgeJob, tmp_path: Path) -> None:
    with connect_server(cluster, tmp_path) as server:
        assert ALL == judged(job, server.connection)


def test_spark_submit_in_cluster_mode(yarn_cluster: Cluster, job: JudgeJob, tmp_path: Path) -> None:
    connection = yarn_cluster.connection(deploy_mode="cluster", folder=str(tmp_path))
    assert ALL == judged(job, connection)
    assert not list(tmp_path.iterdir())
