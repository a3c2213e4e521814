"""A question that is given up ends neither the process nor the next one: librdkafka lives on."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from functools import partial
from pathlib import Path

import psutil
import pytest
from fixtures.kafka import KafkaServer
from fixtures.polling import poll
from fixtures.questions import QUESTIONS

from frameferry.config.connections import KafkaConnection
from frameferry.errors import KafkaUnavailable, TopicMissing
from frameferry.kafka.cluster import Cluster

TIMEOUT = 0.5
SECONDS = 6
CHILD = Path(__file__).parents[1] / "fixtures/impatient_child.py"


def test_answers_that_cross_our_patience_end_no_process(kafka_server: KafkaServer) -> None:
    """librdkafka's own time-out, which an answer must not cross, is never met."""
    topic = kafka_server.create_topic()
    argv = [sys.executable, str(CHILD), kafka_server.bootstrap_servers, topic, str(SECONDS)]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as child:
        deadline = time.monotonic() + SECONDS + 60
        while child.poll() is None and time.monotonic() < deadline:
            with kafka_server.paused():
                _passed(child, 0.15)
            _passed(child, 0.15)
        assert child.stderr is not None
        assert (0, "") == (child.poll(), child.stderr.read())


def _passed(child: subprocess.Popen[str], seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        child.wait(seconds)


@pytest.mark.parametrize("name", QUESTIONS)
@pytest.mark.parametrize("is_warm", [False, True], ids=["cold", "warm"])
def test_a_question_to_a_stopped_broker_is_dropped_with_its_client(
    kafka_server: KafkaServer, name: str, *, is_warm: bool
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"] * 3)
    before = threads()
    with closing(Cluster(kafka_server.connection, timeout_seconds=30)) as cluster:
        if is_warm:
            # A broker that was stopped shows for a moment no leaders.
            poll(lambda: is_answered(cluster, name, topic), "the broker's answer")
        cluster._timeout_seconds = TIMEOUT
        with kafka_server.paused():
            give_up(cluster, name, topic)
            cluster.close()
    poll(lambda: threads() == before, "the end of librdkafka's threads")


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_to_a_port_that_never_answers_is_dropped_with_its_client(name: str) -> None:
    before = threads()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        servers = f"127.0.0.1:{silent.getsockname()[1]}"
        connection = KafkaConnection(conn_id="k", options={"bootstrap.servers": servers})
        with closing(Cluster(connection, timeout_seconds=TIMEOUT)) as cluster:
            give_up(cluster, name, "t")
    poll(lambda: threads() == before, "the end of librdkafka's threads")


def test_questions_to_a_broker_that_is_killed_meanwhile_are_dropped_with_their_clients(
    kafka_server: KafkaServer,
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"x"] * 3)
    before = threads()
    with ExitStack() as closing_all, ThreadPoolExecutor(len(QUESTIONS)) as others:
        asked = []
        clusters = {name: Cluster(kafka_server.connection) for name in QUESTIONS}
        for name, cluster in clusters.items():
            closing_all.enter_context(closing(cluster))
            poll(partial(is_answered, cluster, name, topic), "the broker's answer")
            cluster._timeout_seconds = 4 * TIMEOUT
        with kafka_server.paused():
            for name, cluster in clusters.items():
                asked.append(others.submit(give_up, cluster, name, topic))
            kafka_server.kill()
        for answer in asked:
            answer.result()
    poll(lambda: threads() == before, "the end of librdkafka's threads")
    kafka_server.start()


def is_answered(cluster: Cluster, name: str, topic: str) -> bool:
    try:
        QUESTIONS[name](cluster, topic)
    except (KafkaUnavailable, TopicMissing):
        return False
    return True


def give_up(cluster: Cluster, name: str, topic: str) -> None:
    """Ask where nobody answers: it is said, or nothing is found, in time."""
    began = time.monotonic()
    if name == "first_timestamps":
        assert {} == QUESTIONS[name](cluster, topic)
    else:
        with pytest.raises(KafkaUnavailable, match=r"gave no answer within|No leaders found"):
            QUESTIONS[name](cluster, topic)
    # A group that is not told has another question asked, for at most a second.
    assert time.monotonic() - began < cluster._timeout_seconds + 2


def threads() -> int:
    return psutil.Process().num_threads()
