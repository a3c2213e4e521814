"""A real broker through kill and restart. Each test's broker is its own."""

from __future__ import annotations

import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, TopicPartition
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.errors import StackError
from frameferry.stack import kafka, processes, servers
from frameferry.stack.state import StateFile


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    yield folder
    processes.stop(StateFile(folder).state.mark())


@pytest.fixture
def broker(home):
    files = StateFile(home)
    servers.start(kafka.KIND, files)
    port = files.state.server("kafka").ports["broker"]
    return KafkaServer(f"127.0.0.1:{port}", files)


def read(server, topic):
    consumer = Consumer(
        {
            "bootstrap.servers": server.bootstrap_servers,
            "group.id": "none",
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, 0, 0)])
    values = []
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=10)
        while not consumer.position([TopicPartition(topic, 0)])[0].offset >= end:
            message = consumer.poll(1)
            if message is not None and message.error() is None:
                values.append(message.value())
    finally:
        consumer.close()
    return values


def test_a_killed_broker_comes_back_on_its_port_with_its_records(broker):
    topic = broker.create_topic()
    broker.produce(topic, [b"one"])
    broker.produce_transaction(topic, [b"aborted"], abort=True)
    broker.produce_transaction(topic, [b"two"])
    spawned = broker.files.state.server("kafka").processes["kafka"]

    os.kill(spawned.pid, signal.SIGKILL)
    poll(lambda: not processes.is_alive(spawned), "its end")
    servers.start(kafka.KIND, broker.files)

    assert [b"one", b"two"] == read(broker, topic)
    [offset] = broker.produce(topic, [b"three"])
    # Where it died between a marker and the note of it, it writes the marker again.
    assert offset >= 5
    assert [b"one", b"two", b"three"] == read(broker, topic)


def test_starting_one_that_runs_changes_nothing(broker):
    before = broker.files.state.server("kafka").processes
    assert servers.start(kafka.KIND, broker.files) < 5
    assert before == broker.files.state.server("kafka").processes


def test_one_that_another_process_started_is_found_by_its_home(broker, home):
    again = StateFile(home)
    servers.start(kafka.KIND, again)
    assert broker.files.state.server("kafka") == again.state.server("kafka")


def test_a_picture_of_the_largest_size_goes_through(broker):
    topic = broker.create_topic()
    assert [0] == broker.produce(topic, [os.urandom(50 * 1024**2)])


def test_one_whose_record_was_lost_is_stopped_before_another_starts(broker, home):
    lost = broker.files.state.server("kafka").processes["kafka"]
    broker.files.change(lambda state: state.server("kafka").processes.clear())
    servers.start(kafka.KIND, broker.files)
    assert not processes.is_alive(lost)
    assert 1 == len(processes.find(broker.files.state.mark("kafka")))


def test_a_broker_that_cannot_start_shows_why_and_leaves_nothing(tmp_path):
    files = StateFile(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as taken:

        def build(setting):
            port = taken.getsockname()[1]
            return replace(kafka.build(setting), port=port)

        with pytest.raises(StackError) as caught:
            servers.start(replace(kafka.KIND, build=build, deadline_seconds=60), files)
    assert "ended while starting" in caught.value.what
    assert str(Path("logs") / "kafka.log") in caught.value.remedy
    assert "Address already in use" in caught.value.remedy
    assert [] == processes.find(files.state.mark())
