"""What is missing counts once a broker has said so for a while, not since it was first asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from confluent_kafka import KafkaError, KafkaException

from frameferry.config.connections import KafkaConnection
from frameferry.errors import TopicMissing
from frameferry.kafka import client
from frameferry.kafka.client import Deadline, Listener, ask, open_consumer

NOBODY = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": "127.0.0.1:1"})
SILENCE = KafkaError(KafkaError._TIMED_OUT)
MISSING = KafkaError(KafkaError._UNKNOWN_PARTITION)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "COMING_UP_SECONDS", 0.3)


def asked(question: Callable[[float], str]) -> str:
    listener = Listener(NOBODY)
    consumer = open_consumer(NOBODY, listener, {"group.id": "nobody"})
    try:
        return ask(consumer, listener, question, Deadline(20), "reading", topic="t")
    finally:
        consumer.close()


def test_silence_before_it_does_not_count() -> None:
    def answers() -> Iterator[KafkaError]:
        time.sleep(client.COMING_UP_SECONDS + 0.2)
        yield SILENCE
        yield MISSING

    left = answers()

    def question(_: float) -> str:
        for cause in left:
            raise KafkaException(cause)
        return "found"

    assert "found" == asked(question)


def test_what_is_missing_for_good_is_missing() -> None:
    def question(_: float) -> str:
        raise KafkaException(MISSING)

    began = time.monotonic()
    with pytest.raises(TopicMissing, match="Unknown partition"):
        asked(question)
    assert time.monotonic() - began >= client.COMING_UP_SECONDS
