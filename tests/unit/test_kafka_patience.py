"""When a reader that meets no record gives up: a client that plays a script, since a real one is
too fast to be caught in the middle of a gigabyte of aborted records."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from frameferry.config.connections import KafkaConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import KafkaUnavailable
from frameferry.kafka.reader import RangeReader

STALL_SECONDS = 0.2
POLL_SECONDS = 0.03


class Place:
    def __init__(self, offset: int) -> None:
        self.offset = offset


class ScriptedConsumer:
    """Meets no record; *fetched* offsets are told by statistics, the position jumps at the end."""

    def __init__(
        self, tell: Callable[[str], None], *, polls: int, fetched: Callable[[int], int]
    ) -> None:
        self._tell, self._polls, self._fetched, self._poll = tell, polls, fetched, 0

    def poll(self, _seconds: float) -> None:
        time.sleep(POLL_SECONDS)
        self._poll += 1
        partitions = {"3": {"next_offset": self._fetched(self._poll)}}
        self._tell(json.dumps({"topics": {"t": {"partitions": partitions}}}))

    def position(self, _places: list[object]) -> list[Place]:
        return [Place(1000 if self._poll >= self._polls else -1001)]

    def get_watermark_offsets(self, _place: object, **_options: object) -> tuple[int, int]:
        return (0, 5000)


def reader() -> RangeReader:
    connection = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": "nowhere:1"})
    wanted = OffsetRange(3, 0, 1000)
    return RangeReader(
        connection, "t", wanted, filename_header="filename", stall_seconds=STALL_SECONDS
    )


def test_fetching_through_aborted_records_is_progress() -> None:
    reading = reader()
    polls = round(3 * STALL_SECONDS / POLL_SECONDS)
    client = ScriptedConsumer(reading._note_fetched, polls=polls, fetched=lambda poll: 10 * poll)
    assert list(reading._records(client)) == []
    assert reading.seen_to == 1000


def test_a_client_that_does_not_move_is_given_up() -> None:
    reading = reader()
    client = ScriptedConsumer(reading._note_fetched, polls=10**6, fetched=lambda _: 0)
    with pytest.raises(KafkaUnavailable, match=r"no progress for 0\.2 s although") as error:
        list(reading._records(client))
    assert error.value.where == {"topic": "t", "partition": 3, "offset": 0}
