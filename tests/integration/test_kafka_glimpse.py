"""Timestamps of single records, from a real broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.domain.offsets import Retention
from frameferry.kafka.cluster import Cluster

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
NOON_MS = round(NOON.timestamp() * 1000)


@pytest.fixture
def cluster(kafka_server: KafkaServer) -> Iterator[Cluster]:
    with closing(Cluster(kafka_server.connection)) as opened:
        yield opened


def after_noon(milliseconds: int) -> datetime:
    return NOON + timedelta(milliseconds=milliseconds)


def test_each_partition_tells_the_first_record_at_or_after_an_offset(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic(partitions=3)
    kafka_server.produce(topic, [b"x"] * 9, partition=0, timestamp_ms=NOON_MS)
    kafka_server.produce(topic, [bytes(3_000_000)] * 3, partition=2, timestamp_ms=NOON_MS + 500)
    found = cluster.first_timestamps(topic, {2: 1, 0: 4, 1: 0}, isolation="read_committed")
    assert found == {2: after_noon(501), 0: after_noon(4), 1: None}


def test_markers_and_aborted_records_are_passed_by_who_reads_committed(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    """0 1 aborted, 2 marker, 3 data, 4 marker; the rest is nothing but 5 aborted and a marker."""
    topic = kafka_server.create_topic()
    kafka_server.produce_transaction(topic, [b"0", b"1"], abort=True, timestamp_ms=NOON_MS)
    kafka_server.produce_transaction(topic, [b"3"], timestamp_ms=NOON_MS + 9)
    kafka_server.produce_transaction(topic, [b"5"], abort=True, timestamp_ms=NOON_MS + 50)
    poll(lambda: cluster.view(topic, None).watermarks[0].end == 7, "the stable end")
    for offset, moment in ((0, after_noon(9)), (2, after_noon(9)), (4, None), (6, None), (7, None)):
        found = cluster.first_timestamps(topic, {0: offset}, isolation="read_committed")
        assert found == {0: moment}
    assert cluster.first_timestamps(topic, {0: 0}, isolation="read_uncommitted") == {0: NOON}


def test_an_open_transaction_shows_since_when_only_to_who_reads_uncommitted(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic()
    hanging = kafka_server.open_transaction(topic, [b"x"], timestamp_ms=NOON_MS)
    asked = {0: 0}
    assert cluster.first_timestamps(topic, asked, isolation="read_committed") == {0: None}
    assert cluster.first_timestamps(topic, asked, isolation="read_uncommitted") == {0: NOON}
    hanging.abort_transaction(30)


def test_what_retention_took_meanwhile_is_no_error(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    for partition in (0, 1):
        kafka_server.produce(topic, [b"x"] * 3, partition=partition, timestamp_ms=NOON_MS)
    kafka_server.delete_records(topic, {0: 2})
    found = cluster.first_timestamps(topic, {0: 1, 1: 1}, isolation="read_committed")
    assert found == {0: None, 1: after_noon(1)}


def test_where_nobody_answers_it_is_over_in_time(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"])
    with closing(Cluster(kafka_server.connection, timeout_seconds=1)) as cluster:
        kafka_server.stop()
        started = time.monotonic()
        assert cluster.first_timestamps(topic, {0: 0}, isolation="read_committed") == {}
        assert time.monotonic() - started < 3
        kafka_server.start()
    poll(lambda: kafka_server.admin.list_topics(timeout=10).topics, "the broker")


def test_a_look_tells_how_long_a_topic_keeps_its_records(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    kept = {"retention.ms": "3600000", "retention.bytes": "5000000"}
    topic = kafka_server.create_topic(config=kept)
    assert cluster.view(topic, None).retention == Retention(seconds=3600, bytes=5_000_000)
    kept = {"retention.ms": "-1", "retention.bytes": "-1"}
    topic = kafka_server.create_topic(config=kept)
    assert cluster.view(topic, None).retention == Retention()
    assert cluster.view(kafka_server.create_topic(config={}), None).retention == Retention(
        7 * 86_400.0
    )
