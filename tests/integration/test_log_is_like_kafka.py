"""
The log in memory that the fault tests stand on, held to a real broker's answers.

The same things are done to both; then what the product's cluster and reader say must be the same,
in every watermark, record, census and error.
"""

from __future__ import annotations

from itertools import combinations

import pytest
from fixtures.log import PlantLog
from fixtures.log_clients import LogCluster, LogReader
from fixtures.polling import poll

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import FrameferryError, TopicMissing
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.reader import RangeReader

NAMES = ["cam_1.jpg", None, "cam 3.png"]
STORIES = {
    "plain": [("produce", 3)],
    "nothing": [],
    "committed": [("transaction", 2, False), ("produce", 1)],
    "aborted first": [("transaction", 2, True), ("produce", 2)],
    "aborted last": [("produce", 2), ("transaction", 1, True)],
    "only markers behind": [("produce", 1), ("transaction", 1, False), ("transaction", 1, True)],
    "an open one": [("produce", 2), ("open", 1), ("produce", 1)],
    "retention": [("produce", 4), ("expire", 2)],
    "retention into a transaction": [("transaction", 3, False), ("expire", 2), ("produce", 1)],
    "retention of all": [("produce", 3), ("expire", 3)],
}


def values(number: int) -> list[bytes]:
    return [f"picture {at}".encode() for at in range(number)]


class Real:
    """A topic on the broker."""

    def __init__(self, server) -> None:
        self.server = server
        self.topic = server.create_topic(partitions=2)
        self.producers = []

    def produce(self, number: int) -> None:
        headers = [[("filename", name.encode())] if name else None for name in NAMES]
        given = [headers[at % 3] for at in range(number)]
        self.server.produce(self.topic, values(number), headers=given)

    def transaction(self, number: int, abort: bool) -> None:
        # The marker comes a moment after the commit's answer.
        before = self.high()
        self.server.produce_transaction(self.topic, values(number), abort=abort)
        poll(lambda: self.high() == before + number + 1, "the marker")

    def high(self) -> int:
        return self.cluster().view(self.topic, None).watermarks[0].high

    def open(self, number: int) -> None:
        self.producers.append(self.server.open_transaction(self.topic, values(number)))

    def expire(self, low: int) -> None:
        self.server.delete_records(self.topic, {0: low})

    def end(self) -> None:
        for producer in self.producers:
            producer.abort_transaction(30)

    def cluster(self):
        return Cluster(self.server.connection)

    def reader(self, wanted: OffsetRange):
        return RangeReader(
            self.server.connection, self.topic, wanted, filename_header="filename", stall_seconds=1
        )


class Imitated:
    """A topic in memory."""

    def __init__(self, server) -> None:
        self.connection = server.connection
        self.topic = "images"
        self.log = PlantLog()
        self.log.create_topic(self.topic, partitions=2)

    def produce(self, number: int) -> None:
        names = [NAMES[at % 3] for at in range(number)]
        self.log.produce(self.topic, values(number), names=names)

    def transaction(self, number: int, abort: bool) -> None:
        self.log.produce_transaction(self.topic, values(number), abort=abort)

    def open(self, number: int) -> None:
        self.log.produce(self.topic, values(number), fate="open")

    def expire(self, low: int) -> None:
        self.log.expire(self.topic, 0, low)

    def end(self) -> None:
        return

    def cluster(self):
        return LogCluster(self.log, self.connection)

    def reader(self, wanted: OffsetRange):
        return LogReader(self.log, self.connection, self.topic, wanted, filename_header="filename")


def answers(world) -> list[object]:
    """Collect the watermarks, and what is read of every range of partition 0."""
    view = world.cluster().view(world.topic, None)
    marks = view.watermarks[0]
    told: list[object] = [view.partitions, view.watermarks]
    told += [
        (start, end, read(world, start, end))
        for start, end in combinations(range(marks.high + 1), 2)
    ]
    return told


def read(world, start: int, end: int) -> object:
    reader = world.reader(OffsetRange(0, start, end))
    try:
        records = [(one.offset, one.value, one.source_name) for one in reader]
    except FrameferryError as error:
        return type(error), error.what.partition(" and was")[0]
    return records, reader.census(), reader.seen_to


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_the_log_answers_as_the_broker_does(kafka_server, story):
    real, imitated = Real(kafka_server), Imitated(kafka_server)
    for world in (real, imitated):
        for name, *arguments in story:
            getattr(world, name)(*arguments)
    try:
        assert answers(real) == answers(imitated)
    finally:
        real.end()


def test_a_mirror_is_read_back(kafka_server):
    for world in (Real(kafka_server), Imitated(kafka_server)):
        cluster = world.cluster()
        group = f"frameferry.{world.topic}"
        assert {} == cluster.mirrored(group, world.topic, [0, 1])
        cluster.mirror(group, world.topic, {0: 3}, metadata="epoch")
        assert {0: (3, "epoch")} == cluster.mirrored(group, world.topic, [0, 1])


def test_a_topic_created_anew_has_another_id_and_a_missing_one_is_said(kafka_server):
    real, imitated = Real(kafka_server), Imitated(kafka_server)
    ids = [world.cluster().view(world.topic, None).topic_id for world in (real, imitated)]
    kafka_server.delete_topic(real.topic)
    imitated.log.delete_topic(imitated.topic)
    for world in (real, imitated):
        with pytest.raises(TopicMissing):
            world.cluster().view(world.topic, None)
    kafka_server.create_topic(real.topic, partitions=2)
    imitated.log.create_topic(imitated.topic, partitions=2)
    anew = [world.cluster().view(world.topic, None).topic_id for world in (real, imitated)]
    assert all(first != second for first, second in zip(ids, anew, strict=True))
