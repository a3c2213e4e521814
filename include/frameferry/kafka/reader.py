"""Read one offset range of one partition, to its end by position."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from operator import methodcaller
from typing import Any, Final

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    Message,
    TopicPartition,
)

from frameferry.config.connections import KafkaConnection
from frameferry.domain.census import CensusTaker
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Census, ImageRecord
from frameferry.errors import FrameferryError, KafkaUnavailable, OffsetsLost, Where
from frameferry.kafka import codes
from frameferry.kafka.client import Deadline, Listener, ask, open_consumer
from frameferry.kafka.headers import named_headers, source_name
from frameferry.kafka.throttling import Throttling

READER_GROUP: Final = "frameferry.reader"
"""librdkafka wants a group's name; nothing joins it and nothing is committed to it."""
_POLL_SECONDS: Final = 0.02
_ASK_HEADERS: Final = methodcaller("headers")
_READING: Final[dict[str, Any]] = {
    "group.id": READER_GROUP,
    "isolation.level": "read_committed",
    "auto.offset.reset": "error",
    "check.crcs": True,
    # Memory: what is queued, and one fetch on its way. A record larger than a fetch still comes,
    # alone, up to receive.message.max.bytes. Large fetches cost more processor time, since each has
    # its buffer from the kernel anew, and a quota pauses for as long as a fetch was too large.
    "queued.max.messages.kbytes": 16 * 1024,
    "fetch.max.bytes": 16 * 1024**2,
    "fetch.message.max.bytes": 1024**2,
    "receive.message.max.bytes": 1000 * 1000**2,
    # A full queue is looked at again after this long; its default of 1 s would be the pace.
    "fetch.queue.backoff.ms": 10,
    "fetch.wait.max.ms": 100,
    # A quota's pause is not a failure, however long: the broker says how long it takes.
    "socket.timeout.ms": 300_000,
    # Statistics tell how far fetching is, also through long stretches of aborted records.
    "statistics.interval.ms": 500,
}


class RangeReader:
    """
    The committed records of one range, in offset order.

    The read is over when Kafka's client has *passed* the range's end: transaction markers and
    aborted records take offsets but are not records, so neither the last record nor their number
    tells. Iterating again reads again. Memory stays bounded by about two fetches, whatever the
    range holds.

    Args:
        connection: Where and how.
        topic: Its name.
        wanted: What to read. Its end may lie beyond the last stable offset: the reader waits.
        filename_header: The header that holds the picture's name.
        name_headers: Further headers to hand on, for names that are made of them.
        stall_seconds: How long to wait without any progress; time spent by the caller between
            two records does not count.
        reading: Options of librdkafka's for this read, over our own: how much is fetched ahead.
        throttling: Told of each pause that a quota makes, and asked how long to bear them; several
            reads may share it. None: for as long as it takes.
    """

    def __init__(
        self,
        connection: KafkaConnection,
        topic: str,
        wanted: OffsetRange,
        *,
        filename_header: str,
        name_headers: Sequence[str] = (),
        stall_seconds: float = 30,
        reading: Mapping[str, Any] | None = None,
        throttling: Throttling | None = None,
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._filename_header = filename_header
        self._name_headers = name_headers
        self._stall_seconds = stall_seconds
        self._reading = {**_READING, **(reading or {})}
        self._place = TopicPartition(topic, wanted.partition, wanted.start)
        self.throttling = throttling or Throttling()
        self._listener = Listener(connection, self.throttling)
        self._taker = CensusTaker(wanted)
        self._fetched = 0

    @property
    def seen_to(self) -> int:
        """The position of the read: the range's end when it is whole."""
        return self.census().seen_to

    def census(self) -> Census:
        """State what was met so far; it stands once the iteration has ended by itself."""
        return self._taker.census()

    def __iter__(self) -> Iterator[ImageRecord]:
        """
        Read.

        Raises:
            OffsetsLost: The position lies below the low watermark.
            KafkaUnavailable: No progress for `stall_seconds`, a quota's pauses not counted; says
                whether a broker, an open transaction or a truncated log is why.
            KafkaThrottled: A quota holds back more than `throttling` has patience for.
            TopicUnseen: Kafka does not know the topic or partition, of which there are offsets.
            ConnectionMissing: librdkafka does not understand the connection's options.
        """
        self._taker = CensusTaker(self._wanted)
        own = {**self._reading, "stats_cb": self._note_fetched}
        consumer = open_consumer(self._connection, self._listener, own)
        try:
            self._refuse_lost(consumer)
            consumer.assign([self._place])
            yield from self._records(consumer)
        finally:
            consumer.close()

    def _records(self, consumer: Consumer) -> Iterator[ImageRecord]:
        patience = Deadline(self._stall_seconds)
        while not self._taker.is_whole:
            self.throttling.refuse_endless(**self._where())
            before = (self._taker.position, self._fetched)
            message = consumer.poll(_POLL_SECONDS)
            if message is not None and message.error():
                raise self._refused(consumer, message.error())
            if message is not None and message.offset() in self._wanted:
                self._taker.meet(message.offset())
                yield self._record(message)
                patience.renew(self.throttling.pause_seconds)
                self._listener.forget()
                continue
            self._taker.reach(consumer.position([self._place])[0].offset)
            if before != (self._taker.position, self._fetched):
                patience.renew(self.throttling.pause_seconds)
                self._listener.forget()
            elif self.throttling.pause_seconds:
                patience.renew(self.throttling.pause_seconds)
            elif patience.has_passed or self._listener.login_refused:
                raise self._stalled(consumer)

    def _record(self, message: Message) -> ImageRecord:
        kind, timestamp_ms = message.timestamp()
        headers = _headers(message)
        return ImageRecord(
            partition=message.partition(),
            offset=message.offset(),
            timestamp_ms=-1 if kind == TIMESTAMP_NOT_AVAILABLE else timestamp_ms,
            source_name=source_name(headers, self._filename_header),
            value=message.value() or b"",
            headers=named_headers(headers, self._name_headers),
        )

    def _refused(self, consumer: Consumer, error: KafkaError) -> FrameferryError:
        """Say why the log cannot be read on; nothing that Kafka reports here is an end."""
        if error.code() in codes.NOT_IN_LOG:
            self._refuse_lost(consumer)
            return self._truncated(self._bounds(consumer)[1])
        return self._listener.translated(error, "reading", was_there=True, **self._where())

    def _refuse_lost(self, consumer: Consumer) -> None:
        """Ask for the low watermark, which also shows whether the partition exists at all."""
        low, _ = self._bounds(consumer)
        position = self._taker.position
        if position < low:
            msg = f"Kafka holds offsets from {low} on; {position} to {low - 1} expired unread"
            remedy = "Raise the topic's retention; what is lost is a gap that a person accepts"
            raise OffsetsLost(msg, remedy=remedy, **self._where())

    def _bounds(self, consumer: Consumer) -> tuple[int, int]:
        """Ask the leader for the low watermark and the last stable offset."""

        def question(seconds: float) -> tuple[int, int]:
            low, stable = consumer.get_watermark_offsets(self._place, timeout=seconds)
            return low, stable

        patience, where = Deadline(self._stall_seconds), self._where()
        return ask(
            *(consumer, self._listener, question, patience, "reading"),
            bears_quota=True,
            was_there=True,
            **where,
        )

    def _stalled(self, consumer: Consumer) -> FrameferryError:
        """Find out why nothing comes: the connection, the log's end, a transaction, or none."""
        if self._listener.last is not None:
            return self._listener.unavailable(None, self._stall_seconds, **self._where())
        _, high = consumer.get_watermark_offsets(self._place, cached=True)
        _, stable = self._bounds(consumer)
        if 0 <= high < self._wanted.end:  # below 0: not one fetch was answered
            return self._truncated(high)
        if stable < self._wanted.end:
            return self._held_back(stable, high)
        msg = f"no progress for {self._stall_seconds:g} s although the broker answers"
        return KafkaUnavailable(msg, remedy="Look at the broker's log", **self._where())

    def _held_back(self, stable: int, high: int) -> KafkaUnavailable:
        msg = (
            f"an open transaction holds back {high - stable} offsets from {stable} on, "
            f"so the range up to {self._wanted.end} cannot be read yet"
        )
        remedy = "Wait for it, or end it: kafka-transactions.sh find-hanging"
        return KafkaUnavailable(msg, remedy=remedy, **self._where())

    def _truncated(self, end: int) -> KafkaUnavailable:
        msg = f"the log ends at {end}, before the range does at {self._wanted.end}"
        remedy = "Was it truncated, or the topic created anew? See frameferry status"
        return KafkaUnavailable(msg, remedy=remedy, **self._where())

    def _where(self) -> Where:
        return {
            "topic": self._place.topic,
            "partition": self._wanted.partition,
            "offset": self._taker.position,
        }

    def _note_fetched(self, statistics: str) -> None:
        topics = json.loads(statistics).get("topics", {})
        partitions = topics.get(self._place.topic, {}).get("partitions", {})
        self._fetched = partitions.get(str(self._wanted.partition), {}).get("next_offset", 0)


def _headers(message: Message) -> list[tuple[str, bytes | None]] | None:
    """
    Return a record's headers; none if a header's own name is not UTF-8.

    For such a record, confluent_kafka 2.16 returns a list with null pointers in it *and* sets an
    exception. Called from C, as here, Python sees the contradiction and raises SystemError; called
    from a warm loop in Python it does not look, and the process dies on the list.
    """
    try:
        headers: list[tuple[str, bytes | None]] | None = _ASK_HEADERS(message)
    except SystemError:
        return None
    return headers
