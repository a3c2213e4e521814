"""Glimpse at one record of a partition, for its timestamp: how old is what waits there?"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, Consumer, Message, TopicPartition

from frameferry.config.connections import KafkaConnection
from frameferry.kafka import codes
from frameferry.kafka.client import Deadline, Listener, open_consumer
from frameferry.kafka.reader import READER_GROUP

Isolation = Literal["read_committed", "read_uncommitted"]
_POLL_SECONDS: Final = 0.02
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GLIMPSING: Final[dict[str, Any]] = {
    "group.id": READER_GROUP,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    # One record is wanted, and a broker sends at least that; nothing is fetched ahead of it.
    "fetch.message.max.bytes": 4096,
    "queued.min.messages": 1,
    "receive.message.max.bytes": 1000 * 1000**2,
    "fetch.wait.max.ms": 10,
}


def first_timestamps(
    connection: KafkaConnection,
    listener: Listener,
    topic: str,
    offsets: Mapping[int, int],
    *,
    isolation: Isolation,
    deadline: Deadline,
) -> dict[int, datetime | None]:
    """
    Read the timestamp of the first record at or after an offset, partition by partition.

    One after the other, in the order of *offsets*, so that no more than one fetch is in memory.

    Returns:
        By partition; None if no record is left, or it has no timestamp. A partition that was not
        answered for before the deadline is left out, and so are those after it.

    Raises:
        KafkaUnavailable: The log-in was refused.
        TopicMissing, ConfigError: The broker says no.
    """
    found: dict[int, datetime | None] = {}
    own = {**_GLIMPSING, "isolation.level": isolation}
    with closing(open_consumer(connection, listener, own)) as consumer:
        for partition, offset in offsets.items():
            consumer.assign([TopicPartition(topic, partition, offset)])
            answer = _first(consumer, listener, partition, deadline)
            if answer is None:
                break
            found[partition] = None if answer.error() else _moment(answer)
    return found


def _first(
    consumer: Consumer, listener: Listener, partition: int, deadline: Deadline
) -> Message | None:
    """Wait for the first record, or for word that there is none; None when the time is over."""
    while not deadline.has_passed:
        message = consumer.poll(min(_POLL_SECONDS, deadline.left))
        if listener.login_refused:
            raise listener.unavailable(None, deadline.seconds)
        if message is None or message.partition() != partition:
            continue
        error = message.error()
        if error and error.code() not in codes.NOTHING_THERE:
            raise listener.translated(error, "glimpsing", partition=partition)
        return message
    return None


def _moment(message: Message) -> datetime | None:
    kind, timestamp_ms = message.timestamp()
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return None
