"""Questions to a real broker, and what is said where there is none."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from confluent_kafka import Consumer
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.config.connections import KafkaConnection
from frameferry.config.settings import KafkaSettings, Start
from frameferry.domain.offsets import Watermarks
from frameferry.errors import ConfigError, KafkaUnavailable, TopicCompacted, TopicMissing
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.start import start_offsets

TIMEOUT = 2.0


@pytest.fixture
def cluster(kafka_server: KafkaServer) -> Iterator[Cluster]:
    with closing(Cluster(kafka_server.connection)) as opened:
        yield opened


def connection(servers: str, **options: str) -> KafkaConnection:
    dotted = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": servers, **dotted})


def test_a_look_shows_low_stable_end_and_high(kafka_server: KafkaServer, cluster: Cluster) -> None:
    topic = kafka_server.create_topic(partitions=3)
    kafka_server.produce(topic, [b"x"] * 5, partition=0)
    kafka_server.delete_records(topic, {0: 2})
    kafka_server.produce_transaction(topic, [b"x"], partition=1)
    hanging = kafka_server.open_transaction(topic, [b"x"] * 4, partition=1)
    # The broker moves the stable end a moment after it has answered the producer.
    poll(lambda: cluster.view(topic, (1,)).watermarks[1].end == 2, "the stable end")
    view = cluster.view(topic, None)
    assert view.partitions == (0, 1, 2)
    assert view.watermarks == {
        0: Watermarks(2, 5, 5),
        1: Watermarks(0, 2, 6),
        2: Watermarks(0, 0, 0),
    }
    hanging.abort_transaction(30)
    poll(lambda: cluster.view(topic, None).watermarks[1] == Watermarks(0, 7, 7), "the stable end")


def test_a_look_at_a_share_of_a_topic_knows_that_there_is_more(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic(partitions=3, config={"max.message.bytes": "123456"})
    view = cluster.view(topic, (2, 0))
    assert list(view.watermarks) == [0, 2]
    assert view.partitions == (0, 1, 2)
    assert view.largest_record_bytes == 123456


def test_a_topic_created_anew_has_another_id_in_the_same_cluster(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic()
    before = cluster.view(topic, None)
    assert cluster.view(topic, None) == before
    kafka_server.delete_topic(topic)
    kafka_server.create_topic(topic)
    after = cluster.view(topic, None)
    assert after.topic_id != before.topic_id
    assert after.cluster_id == before.cluster_id


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_compacted_topic_is_refused(
    kafka_server: KafkaServer, cluster: Cluster, policy: str
) -> None:
    topic = kafka_server.create_topic(config={"cleanup.policy": policy})
    with pytest.raises(
        TopicCompacted, match=r"vanish before they are read.*cleanup.policy to delete"
    ):
        cluster.view(topic, None)


def test_a_topic_that_does_not_exist_is_missing_and_stays_so(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    with pytest.raises(TopicMissing, match=r"topic 'no-such-topic': .*kafka.topic"):
        cluster.view("no-such-topic", None)
    assert "no-such-topic" not in kafka_server.admin.list_topics(timeout=10).topics


def test_a_name_that_no_topic_can_have_is_said(cluster: Cluster) -> None:
    with pytest.raises(ConfigError, match=r"Mend kafka\.topic"):
        cluster.view("no such topic!", None)


def test_a_partition_that_does_not_exist_is_missing(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    with pytest.raises(TopicMissing, match=r"no partition 2, 7.*it has 2, from 0"):
        cluster.view(topic, (0, 7, 2))


def test_a_time_is_the_first_offset_of_then_or_later_else_the_end(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    noon = datetime(2026, 11, 23, 12, tzinfo=UTC)
    noon_ms = round(noon.timestamp() * 1000)
    kafka_server.produce(topic, [b"x"] * 5, partition=0, timestamp_ms=noon_ms - 2)
    kafka_server.produce(topic, [b"x"] * 5, partition=1, timestamp_ms=noon_ms - 60_000)
    assert cluster.offsets_at(topic, (0, 1), noon) == {0: 2, 1: 5}
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    assert cluster.offsets_at(topic, (0, 1), long_ago) == {0: 0, 1: 0}


@pytest.mark.parametrize("seconds", [0.001, 0.002, 0.003, 60, 1e9, 6e10])
def test_a_time_before_1970_is_before_every_record(
    kafka_server: KafkaServer, cluster: Cluster, seconds: float
) -> None:
    topic = kafka_server.create_topic(partitions=1)
    kafka_server.produce(topic, [b"x"] * 5)
    before = datetime(1970, 1, 1, tzinfo=UTC) - timedelta(seconds=seconds)
    assert cluster.offsets_at(topic, (0,), before) == {0: 0}


def test_a_start_at_a_time_is_a_record_and_no_marker(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    """Five pictures of an hour ago, a minute apart, each with its transaction's marker of now."""
    topic = kafka_server.create_topic()
    first = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    for minute in range(5):
        moment = first + timedelta(minutes=minute)
        kafka_server.produce_transaction(
            topic, [b"x"], timestamp_ms=round(moment.timestamp() * 1000)
        )
    poll(lambda: cluster.view(topic, None).watermarks[0].end == 10, "the last marker")

    def begins(minutes: float) -> int:
        return start(first + timedelta(minutes=minutes), topic, cluster)[0]

    assert [0, 2, 4, 6, 8] == [begins(minute) for minute in range(5)]
    assert [0, 2, 8] == [begins(-30), begins(0.5), begins(3.5)]
    assert 10 == begins(30)  # after all records, before the markers
    assert 10 == begins(120)  # after everything
    # Times need not rise: what is older behind the first of then is carried.
    kafka_server.produce(topic, [b"x"], timestamp_ms=round(first.timestamp() * 1000))
    assert (6, 11) == (begins(3), begins(30))


def start(given: Start, topic: str, cluster: Cluster) -> dict[int, int]:
    settings = KafkaSettings(connection="plant_kafka", topic=topic, start=given)
    return start_offsets(settings, cluster, cluster.view(topic, None))


def test_a_pipeline_starts_where_its_file_says(kafka_server: KafkaServer, cluster: Cluster) -> None:
    topic = kafka_server.create_topic(partitions=2)
    for partition in (0, 1):
        kafka_server.produce(topic, [b"x"] * 9, partition=partition, timestamp_ms=1_700_000_000_000)
    kafka_server.delete_records(topic, {1: 4})
    moment = datetime.fromtimestamp(1_700_000_000.006, tz=UTC)
    assert start("earliest", topic, cluster) == {0: 0, 1: 4}
    assert start({0: 9, 1: 4}, topic, cluster) == {0: 9, 1: 4}
    assert start(moment, topic, cluster) == {0: 6, 1: 6}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({0: 10, 1: 4}, "partition 0: offset 10 is outside 0 to 9"),
        ({0: 0, 1: 3}, "partition 1: offset 3 is outside 4 to 9"),
        ({0: 0}, "partition 1 has no offset"),
        ({0: 0, 1: 4, 5: 0}, "partition 5 is not one of this pipeline's"),
    ],
)
def test_a_start_outside_the_log_is_refused(
    kafka_server: KafkaServer, cluster: Cluster, given: dict[int, int], problem: str
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    for partition in (0, 1):
        kafka_server.produce(topic, [b"x"] * 9, partition=partition)
    kafka_server.delete_records(topic, {1: 4})
    with pytest.raises(ConfigError, match=problem):
        start(given, topic, cluster)


def test_the_mirror_gives_back_offsets_and_metadata(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic(partitions=3)
    group = f"frameferry.{topic}"
    assert cluster.mirrored(group, topic, (0, 1, 2)) == {}
    cluster.mirror(group, topic, {0: 17, 2: 0}, metadata="epoch-1")
    cluster.mirror(group, topic, {0: 18}, metadata="epoch-2")
    cluster.mirror(group, topic, {}, metadata="epoch-3")
    assert cluster.mirrored(group, topic, (0, 1, 2)) == {0: (18, "epoch-2"), 2: (0, "epoch-1")}
    assert cluster.mirrored("frameferry.other", topic, (0, 1, 2)) == {}
    assert cluster.mirrored(group, topic, ()) == {}


def test_a_mirror_that_a_consumer_has_joined_says_so(
    kafka_server: KafkaServer, cluster: Cluster
) -> None:
    topic = kafka_server.create_topic()
    group = f"frameferry.{topic}"
    stranger = Consumer(
        {"bootstrap.servers": kafka_server.bootstrap_servers, "group.id": group, "log_level": 0}
    )
    stranger.subscribe([topic])
    poll(lambda: stranger.poll(0.1) or stranger.assignment(), "the stranger to join")
    with pytest.raises(KafkaUnavailable, match="Stop the consumers that joined it"):
        cluster.mirror(group, topic, {0: 1}, metadata="")
    stranger.close()


def test_a_mirror_of_a_topic_that_does_not_exist_is_missing(cluster: Cluster) -> None:
    with pytest.raises(TopicMissing, match=r"consumer group 'frameferry\.x'"):
        cluster.mirror("frameferry.x", "no-such-topic", {0: 1}, metadata="")


@pytest.mark.parametrize(
    ("servers", "options", "says"),
    [
        ("127.0.0.1:1", {}, r"Connection refused\. Start the broker"),
        ("no-such-host.invalid:9092", {}, "Failed to resolve .*Check the host name"),
        ("REAL", {"security_protocol": "ssl"}, "SSL.*Check security.protocol"),
        ("SILENT", {}, "gave no answer within 2 s"),
    ],
)
def test_no_answer_is_said_with_its_cause_in_time(
    kafka_server: KafkaServer, servers: str, options: dict[str, str], says: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = {
            "REAL": kafka_server.bootstrap_servers,
            "SILENT": f"127.0.0.1:{silent.getsockname()[1]}",
        }.get(servers, servers)
        started = time.monotonic()
        with (
            closing(Cluster(connection(address, **options), timeout_seconds=TIMEOUT)) as nobody,
            pytest.raises(KafkaUnavailable, match=says) as error,
        ):
            nobody.view("t", None)
        assert time.monotonic() - started < TIMEOUT + 1
    assert "connection 'plant_kafka'" in error.value.remedy


def test_a_refused_log_in_is_tried_no_further(kafka_server: KafkaServer) -> None:
    options = {"security_protocol": "sasl_plaintext", "sasl_mechanism": "PLAIN"}
    secretive = connection(
        kafka_server.bootstrap_servers, sasl_username="u", sasl_password="hush", **options
    )
    started = time.monotonic()
    with (
        closing(Cluster(secretive, timeout_seconds=30)) as refused,
        pytest.raises(
            KafkaUnavailable, match=r"refused the log-in: .*Check user, password"
        ) as error,
    ):
        refused.view("t", None)
    assert time.monotonic() - started < 5
    assert "hush" not in str(error.value)


def test_a_broker_that_goes_and_comes_back(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"])
    with closing(Cluster(kafka_server.connection, timeout_seconds=TIMEOUT)) as cluster:
        before = cluster.view(topic, None)
        kafka_server.stop()
        started = time.monotonic()
        with pytest.raises(KafkaUnavailable, match="Connection refused"):
            cluster.view(topic, None)
        assert time.monotonic() - started < TIMEOUT + 1
        kafka_server.start()
        views = []

        def looked() -> bool:
            try:
                views.append(cluster.view(topic, None))
            except KafkaUnavailable:
                return False
            return True

        poll(looked, "the broker's answer")
    assert views == [before]
