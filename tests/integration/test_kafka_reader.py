"""One range, read to its end by position, from a real broker."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing

import pytest
from fixtures.kafka import KafkaServer
from fixtures.oddities import produce_with_broken_header_name

from frameferry.config.connections import KafkaConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Census, ImageRecord
from frameferry.errors import Coordinates, KafkaUnavailable, OffsetsLost, TopicMissing, TopicUnseen
from frameferry.kafka.client import COMING_UP_SECONDS
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.reader import RangeReader

SOON = 20.0
"""Seconds after which a reader that hangs has surely hung."""
HELD_SECONDS = 5.0
"""Longer than the controller waits for the broker."""


def reader(
    server: KafkaServer,
    topic: str,
    start: int,
    end: int,
    *,
    partition: int = 0,
    stall: float = SOON,
) -> RangeReader:
    return RangeReader(
        server.connection,
        topic,
        OffsetRange(partition, start, end),
        filename_header="filename",
        stall_seconds=stall,
    )


def offsets(records: Sequence[ImageRecord]) -> list[int]:
    return [record.offset for record in records]


def census_of(start: int, end: int, met: Sequence[int]) -> Census:
    digest = hashlib.sha256("".join(f"{offset}\n" for offset in met).encode()).hexdigest()
    return Census(0, start, end, seen_to=end, count=len(met), digest=digest)


@pytest.fixture(scope="module")
def mixed(kafka_server: KafkaServer) -> str:
    """0 1 2 data, 3 marker, 4 5 aborted, 6 marker, 7 8 data, 9 marker, 10 data, 11 marker."""
    topic = kafka_server.create_topic()
    kafka_server.produce_transaction(topic, [b"0", b"1", b"2"])
    kafka_server.produce_transaction(topic, [b"4", b"5"], abort=True)
    kafka_server.produce_transaction(topic, [b"7", b"8"])
    kafka_server.produce_transaction(topic, [b"10"])
    return topic


@pytest.mark.parametrize(
    ("start", "end", "met"),
    [
        pytest.param(0, 12, [0, 1, 2, 7, 8, 10], id="everything, the log's last offset a marker"),
        pytest.param(0, 3, [0, 1, 2], id="data only"),
        pytest.param(1, 2, [1], id="one record"),
        pytest.param(3, 4, [], id="the whole range a marker"),
        pytest.param(11, 12, [], id="the whole range a marker, at the log's end"),
        pytest.param(3, 7, [], id="markers and aborted records only"),
        pytest.param(4, 6, [], id="aborted records only"),
        pytest.param(4, 7, [], id="an aborted transaction with its marker"),
        pytest.param(3, 9, [7, 8], id="the first offset a marker"),
        pytest.param(7, 10, [7, 8], id="the last offset a marker"),
        pytest.param(10, 12, [10], id="the last offset a marker, at the log's end"),
        pytest.param(1, 9, [1, 2, 7, 8], id="a hole in the middle"),
        pytest.param(5, 8, [7], id="begins within an aborted transaction"),
        pytest.param(2, 5, [2], id="ends within an aborted transaction"),
    ],
)
def test_a_range_is_read_to_its_end_by_position(
    kafka_server: KafkaServer, mixed: str, start: int, end: int, met: list[int]
) -> None:
    reading = reader(kafka_server, mixed, start, end)
    records = list(reading)
    assert offsets(records) == met
    assert [record.value for record in records] == [str(offset).encode() for offset in met]
    assert reading.census() == census_of(start, end, met)
    assert reading.seen_to == end


def test_a_range_of_one_half_of_a_log_without_transactions_ends_at_its_end(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    kafka_server.produce(topic, [b"%d" % n for n in range(5000)], partition=1)
    reading = reader(kafka_server, topic, 1234, 4321, partition=1)
    assert offsets(list(reading)) == list(range(1234, 4321))
    assert reading.census().count == 3087


def test_reading_again_reads_the_same(kafka_server: KafkaServer, mixed: str) -> None:
    reading = reader(kafka_server, mixed, 1, 9)
    assert list(reading) == list(reading)
    assert reading.census() == census_of(1, 9, [1, 2, 7, 8])


def test_a_read_that_was_left_early_has_no_whole_census(
    kafka_server: KafkaServer, mixed: str
) -> None:
    reading = reader(kafka_server, mixed, 0, 9)
    assert next(iter(reading)).offset == 0
    assert (reading.census().seen_to, reading.census().count) == (1, 1)


def test_an_open_transaction_is_said_and_read_once_it_is_committed(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"0", b"1"])
    hanging = kafka_server.open_transaction(topic, [b"2", b"3"])
    assert offsets(list(reader(kafka_server, topic, 0, 2))) == [0, 1]
    early = reader(kafka_server, topic, 0, 4, stall=1.5)
    met: list[ImageRecord] = []
    with pytest.raises(KafkaUnavailable, match="open transaction holds back 2 offsets from 2") as e:
        met.extend(early)
    assert e.value.where == Coordinates(topic=topic, partition=0, offset=2)
    assert early.seen_to == 2
    hanging.commit_transaction(30)
    assert offsets(list(reader(kafka_server, topic, 0, 5))) == [0, 1, 2, 3]


def test_a_reader_waits_for_a_transaction_that_ends_in_time(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"0"])
    ending = kafka_server.open_transaction(topic, [b"1"])
    reading = iter(reader(kafka_server, topic, 0, 3))
    assert next(reading).offset == 0
    ending.abort_transaction(30)
    assert list(reading) == []


def test_a_hanging_transaction_at_the_start_of_the_range_is_said(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic()
    hanging = kafka_server.open_transaction(topic, [b"0", b"1"])
    for start in (0, 1):
        with pytest.raises(KafkaUnavailable, match="open transaction"):
            list(reader(kafka_server, topic, start, 2, stall=1))
    hanging.abort_transaction(30)
    assert list(reader(kafka_server, topic, 0, 3)) == []


def test_records_as_nifi_writes_them(kafka_server: KafkaServer) -> None:
    """One transaction per seven pictures, a marker after each, headers in any order."""
    topic = kafka_server.create_topic()
    for first in range(0, 21, 7):
        headers = [
            [
                ("file.group", b"root"),
                ("mime.type", b"image/jpeg"),
                ("라인", "도장 3라인".encode()),
                ("path", b"/"),
                ("filename", f"0-{number} +%=ü&.jpg".encode()),
                ("file.creationTime", b"2026-11-23T19:49:52+0000"),
            ]
            for number in range(first, first + 7)
        ]
        kafka_server.produce_transaction(topic, [b"\xff\xd8" * 70_000] * 7, headers=headers)
    records = list(reader(kafka_server, topic, 0, 24))
    assert offsets(records) == [o for o in range(24) if o not in (7, 15, 23)]
    assert [r.source_name for r in records] == [f"0-{n} +%=ü&.jpg" for n in range(21)]
    assert {len(r.value) for r in records} == {140_000}
    assert all(r.timestamp_ms > 1_700_000_000_000 for r in records)


def test_empty_values_and_odd_headers_are_records_all_the_same(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    headers = [None, [("filename", b"\xffa.jpg")], [("filename", b"x"), ("filename", b"y")], []]
    kafka_server.produce(topic, [None, b"", b"2", b"3"], headers=headers, timestamp_ms=1000)
    records = list(reader(kafka_server, topic, 0, 4))
    assert [r.value for r in records] == [b"", b"", b"2", b"3"]
    assert [r.source_name for r in records] == [None, "\ufffda.jpg", "x", None]
    assert [r.timestamp_ms for r in records] == [1000, 1001, 1002, 1003]


READ_IN_ITS_OWN_PROCESS = """
import hashlib, sys
from frameferry.config.connections import KafkaConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.kafka.reader import RangeReader

def peak_kb():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))

servers, topic, end = sys.argv[1:]
connection = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": servers})
reader = RangeReader(connection, topic, OffsetRange(0, 0, int(end)), filename_header="filename")
before = peak_kb()
for record in reader:
    hashlib.sha512(record.value).digest()
print(reader.census().count, record.source_name, (peak_kb() - before) // 1000)
"""


def read_in_its_own_process(server: KafkaServer, topic: str, end: int) -> list[str]:
    """Return the count, the last source name, and by how many MB the process grew."""
    done = subprocess.run(
        [sys.executable, "-c", READ_IN_ITS_OWN_PROCESS, server.bootstrap_servers, topic, str(end)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_a_header_name_that_is_no_utf8_does_not_kill_the_process(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"] * 100, headers=[[("filename", b"a.jpg")]] * 100)
    produce_with_broken_header_name(kafka_server.bootstrap_servers, topic, b"y")
    assert read_in_its_own_process(kafka_server, topic, 101)[:2] == ["101", "None"]


def test_memory_stays_bounded_whatever_the_range_holds(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    for _ in range(4):
        kafka_server.produce(topic, [bytes(140_000)] * 500)
    count, _, grown_mb = read_in_its_own_process(kafka_server, topic, 2000)
    assert count == "2000"
    assert int(grown_mb) < 60


def test_offsets_that_retention_took_are_lost(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"] * 10)
    kafka_server.delete_records(topic, {0: 6})
    assert offsets(list(reader(kafka_server, topic, 6, 10))) == [6, 7, 8, 9]
    with pytest.raises(OffsetsLost, match="Kafka holds offsets from 6 on; 4 to 5 expired") as error:
        list(reader(kafka_server, topic, 4, 10))
    assert error.value.where == Coordinates(topic=topic, partition=0, offset=4)


def test_retention_that_overtakes_the_read_is_seen(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [bytes(8_000_000)] * 8)
    reading = iter(reader(kafka_server, topic, 0, 8))
    met = [next(reading).offset]
    kafka_server.delete_records(topic, {0: 8})
    with pytest.raises(OffsetsLost, match="Kafka holds offsets from 8 on"):
        met.extend(record.offset for record in reading)
    assert met == list(range(len(met)))


@pytest.mark.parametrize(("start", "end"), [(3, 9), (5, 9), (0, 9)])
def test_a_log_that_ends_before_the_range_is_no_end_of_the_range(
    kafka_server: KafkaServer, start: int, end: int
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"] * 3)
    with pytest.raises(KafkaUnavailable, match="the log ends at 3, before the range does at 9"):
        list(reader(kafka_server, topic, start, end, stall=1))


def test_a_partition_or_topic_that_does_not_exist_is_said_at_once(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic()
    started = time.monotonic()
    for name, partition in ((topic, 99), ("no-such-topic", 0)):
        with pytest.raises(TopicUnseen, match=f"topic {name}, partition {partition}"):
            list(reader(kafka_server, name, 0, 1, partition=partition))
    assert time.monotonic() - started < SOON
    assert "no-such-topic" not in kafka_server.admin.list_topics(timeout=10).topics


def test_a_broker_that_was_held_up_is_not_taken_for_one_without_the_topic(
    kafka_server: KafkaServer,
) -> None:
    """For some moments it knows of no leaders, and then of no partitions."""
    topic = kafka_server.create_topic(partitions=3)
    for partition in range(3):
        kafka_server.produce(topic, [b"x"] * 3, partition=partition)
    for _ in range(3):
        with kafka_server.paused():
            time.sleep(HELD_SECONDS)
        with closing(Cluster(kafka_server.connection)) as cluster:
            assert 3 == len(cluster.view(topic, None).watermarks)
        for partition in range(3):
            assert 3 == len(list(reader(kafka_server, topic, 0, 3, partition=partition)))


def test_a_topic_that_is_missing_for_good_is_missing(kafka_server: KafkaServer) -> None:
    began = time.monotonic()
    with closing(Cluster(kafka_server.connection)) as cluster, pytest.raises(TopicMissing):
        cluster.view("no-such-topic", None)
    assert COMING_UP_SECONDS <= time.monotonic() - began < SOON


@pytest.mark.parametrize("says", ["Connection refused", "gave no answer within 1 s"])
def test_no_broker_is_said_with_its_cause(says: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = 1 if "refused" in says else silent.getsockname()[1]
        nobody = KafkaConnection(
            conn_id="plant_kafka", options={"bootstrap.servers": f"127.0.0.1:{port}"}
        )
        reading = RangeReader(
            nobody, "t", OffsetRange(0, 0, 1), filename_header="filename", stall_seconds=1
        )
        started = time.monotonic()
        with pytest.raises(KafkaUnavailable, match=f"{says}.*'plant_kafka'"):
            list(reading)
        assert time.monotonic() - started < 5


def test_a_broker_that_goes_in_the_middle_is_said_and_the_next_read_is_whole(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [bytes(8_000_000)] * 8)
    reading = reader(kafka_server, topic, 0, 8, stall=2)
    records = iter(reading)
    met = [next(records).offset]
    kafka_server.stop()
    with pytest.raises(KafkaUnavailable, match="Connection refused") as error:
        met.extend(record.offset for record in records)
    assert error.value.where.offset == reading.seen_to == len(met) < 8
    kafka_server.start()
    assert offsets(list(reader(kafka_server, topic, 0, 8))) == list(range(8))


def test_a_reader_commits_nothing_and_joins_no_group(kafka_server: KafkaServer, mixed: str) -> None:
    list(reader(kafka_server, mixed, 0, 12))
    admin = kafka_server.admin
    groups = admin.list_consumer_groups(request_timeout=10).result(10)
    assert "frameferry.reader" not in [group.group_id for group in groups.valid]


def test_pictures_of_fifty_megabytes_come_whole(kafka_server: KafkaServer) -> None:
    topic = kafka_server.create_topic()
    values = [bytes([n]) * 50_000_000 for n in range(3)]
    kafka_server.produce(topic, values)
    for record in reader(kafka_server, topic, 0, 3):
        assert record.value == values[record.offset]
