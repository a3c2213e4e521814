"""
When a reader that meets no record gives up, and what a listener remembers.

A client that plays a script, and a clock that it moves: a real one cannot be caught in the middle
of a gigabyte of aborted records.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, KafkaError

from frameferry.config.connections import KafkaConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import Coordinates, KafkaUnavailable
from frameferry.kafka import client, codes
from frameferry.kafka.client import Listener
from frameferry.kafka.reader import RangeReader

CONNECTION = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": "nowhere:1"})
STALL_SECONDS = 30.0


class Clock:
    """A monotonic clock that only the script moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(client, "time", clock)
    return clock


class Record:
    """The record at offset 0."""

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return 0

    def partition(self) -> int:
        return 3

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_CREATE_TIME, 1

    def headers(self) -> None:
        return None

    def value(self) -> bytes:
        return b"x"


class ScriptedClient:
    """Each poll takes a second; after *polls* of them the position is the range's end."""

    def __init__(
        self,
        clock: Clock,
        reader: RangeReader,
        *,
        polls: int,
        fetched: Callable[[int], int] = lambda _: 0,
        first: Record | None = None,
    ) -> None:
        self._clock, self._tell, self._first = clock, reader._note_fetched, first
        self._polls, self._fetched, self._poll = polls, fetched, 0

    def poll(self, _seconds: float) -> Record | None:
        self._clock.now += 1
        self._poll += 1
        partitions = {"3": {"next_offset": self._fetched(self._poll)}}
        self._tell(json.dumps({"topics": {"t": {"partitions": partitions}}}))
        first, self._first = self._first, None
        return first

    def position(self, _places: object) -> list[SimpleNamespace]:
        return [SimpleNamespace(offset=1000 if self._poll >= self._polls else -1001)]

    def get_watermark_offsets(self, _place: object, **_options: object) -> tuple[int, int]:
        return (0, 5000)


@pytest.fixture
def reader(clock: Clock) -> RangeReader:
    return RangeReader(
        CONNECTION,
        "t",
        OffsetRange(3, 0, 1000),
        filename_header="filename",
        stall_seconds=STALL_SECONDS,
    )


def test_fetching_through_aborted_records_is_progress(clock: Clock, reader: RangeReader) -> None:
    slow = ScriptedClient(clock, reader, polls=100, fetched=lambda poll: 10 * (poll // 20))
    assert list(reader._records(slow)) == []
    assert reader.seen_to == 1000


def test_a_client_that_does_not_move_is_given_up(clock: Clock, reader: RangeReader) -> None:
    stuck = ScriptedClient(clock, reader, polls=1000)
    with pytest.raises(KafkaUnavailable, match="no progress for 30 s although") as error:
        list(reader._records(stuck))
    assert error.value.where == Coordinates(topic="t", partition=3, offset=0)
    assert clock.now - 1000.0 == pytest.approx(STALL_SECONDS, abs=1)


def test_time_that_the_caller_takes_is_no_stall(clock: Clock, reader: RangeReader) -> None:
    records = reader._records(ScriptedClient(clock, reader, polls=20, first=Record()))
    assert next(records).offset == 0
    clock.now += 10 * STALL_SECONDS
    assert list(records) == []
    assert reader.seen_to == 1000


def test_a_listener_remembers_the_cause_and_not_its_consequence() -> None:
    listener = Listener(CONNECTION)
    down = KafkaError(codes.ALL_BROKERS_DOWN, "1/1 brokers are down")
    listener(down)
    assert "1/1 brokers are down" in str(listener.unavailable(None, 5))
    listener(
        KafkaError(codes.NAME_UNRESOLVED, "Failed to resolve 'nowhere:1' (after 1ms in state)")
    )
    listener(down)
    assert str(listener.unavailable(None, 5)) == (
        "Kafka at nowhere:1 gave no answer within 5 s: Failed to resolve 'nowhere:1'. "
        "Check the host name in bootstrap.servers of connection 'plant_kafka'"
    )
    listener.forget()
    assert "resolve" not in str(listener.unavailable(None, 5))
