"""Ask a Kafka cluster for its topics' state, and mirror committed offsets to a consumer group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from confluent_kafka import (
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import ConfigResource, OffsetSpec, ResourceType, TopicDescription

from frameferry.config.connections import KafkaConnection
from frameferry.domain.offsets import OffsetRange, Retention, Watermarks
from frameferry.errors import KafkaUnavailable
from frameferry.kafka import codes
from frameferry.kafka.client import (
    RETRY_SECONDS,
    AnswerT,
    ComingUp,
    Deadline,
    Listener,
    ask,
    open_admin,
    open_consumer,
)
from frameferry.kafka.doors import untold
from frameferry.kafka.glimpse import Isolation, first_timestamps
from frameferry.kafka.reader import RangeReader
from frameferry.kafka.topics import identified, kept, refuse_compacted, thin, wanted_partitions

_LISTEN_SECONDS: Final = 0.05
_NO_NAME: Final = ""
"""No header has this name: names are not asked for."""
_BEYOND_SECONDS: Final = 60.0
"""
librdkafka's own time-out of an admin request ends this long after ours: it is never met. An answer
that crosses that time-out ends the process in librdkafka 2.16 (confluentinc/librdkafka issue 4605).
"""


@dataclass(frozen=True, slots=True)
class TopicView:
    """
    One topic as it is now.

    `watermarks` holds the wanted partitions only, `partitions` all there are. No record is larger
    than `largest_record_bytes` (`max.message.bytes`), and none is kept longer than `retention`
    says, as far as the topic's settings go today.
    """

    cluster_id: str
    topic_id: str
    watermarks: dict[int, Watermarks]
    partitions: tuple[int, ...]
    largest_record_bytes: int
    retention: Retention


class Cluster:
    """
    A Kafka cluster, for a few questions: one client, made at once and dropped by `close`.

    Args:
        connection: Where and how.
        timeout_seconds: Of each method as a whole. A refused log-in is not tried again meanwhile.

    Raises:
        ConnectionMissing: librdkafka does not understand the connection's options.
    """

    def __init__(self, connection: KafkaConnection, *, timeout_seconds: float = 10) -> None:
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._listener = Listener(connection)
        self._client = open_admin(connection, self._listener)

    def close(self) -> None:
        """Drop the client, with what it was asked and has not answered. May be called twice."""
        self._client = None

    def forget(self) -> None:
        """Forget troubles and pauses that were heard of: what comes is asked by somebody else."""
        self._listener.forget()
        self._listener.throttling.forget()

    def throttled_seconds(self) -> float:
        """Say how long a quota held back what was asked of it; 0 if none did."""
        return self._listener.throttling.seconds

    def view(self, topic: str, partitions: tuple[int, ...] | None) -> TopicView:
        """
        Read a topic's identity and watermarks; it is never created by being asked for.

        The watermarks only grow, and are asked in the order low, end, high, so `low <= end <= high`
        holds although they are three questions. They are asked by the topic's name: so its id is
        asked before and after them, and if it has changed, all is asked again.

        Args:
            topic: Its name.
            partitions: Those wanted; None for all.

        Raises:
            KafkaUnavailable: No broker answered in time, or a partition has no leader.
            TopicMissing: The topic or a wanted partition does not exist.
            TopicCompacted: The topic is compacted: records vanish from it that nobody has read.
            ConfigError: The broker forbids the question or gives no topic ids, or the name is not
                valid.
        """
        deadline = Deadline(self._timeout_seconds)
        described = self._described(topic, deadline)
        while True:
            view = self._viewed(topic, described, partitions, deadline)
            described = self._described(topic, deadline)
            if str(described.topic_id) == view.topic_id:
                return view

    def _viewed(
        self,
        topic: str,
        described: TopicDescription,
        partitions: tuple[int, ...] | None,
        deadline: Deadline,
    ) -> TopicView:
        topic_id = identified(topic, str(described.topic_id))
        there = tuple(sorted(partition.id for partition in described.partitions))
        wanted = wanted_partitions(topic, there, partitions)
        settings = self._settings(topic, deadline)
        refuse_compacted(topic, settings)
        return TopicView(
            cluster_id=self._cluster_id(deadline),
            topic_id=topic_id,
            watermarks=self._watermarks(topic, wanted, deadline),
            partitions=there,
            largest_record_bytes=int(settings["max.message.bytes"]),
            retention=kept(settings),
        )

    def thin_partitions(self, topic: str) -> tuple[int, ...]:
        """
        List the partitions of which not every replica is in sync: a broker is down or behind.

        Raises:
            KafkaUnavailable, TopicMissing, ConfigError: As `view`.
        """
        described = self._described(topic, Deadline(self._timeout_seconds))
        return thin(described.partitions)

    def offsets_at(self, topic: str, partitions: Iterable[int], moment: datetime) -> dict[int, int]:
        """
        Find each partition's first position, of a record or a marker, at *moment* or later.

        If there is none, it is the last stable offset: the next record to come. A moment before
        1970 is taken as the start of 1970: a negative timestamp is not a time in Kafka's protocol.

        Raises:
            KafkaUnavailable, TopicMissing, ConfigError: As `view`.
        """
        deadline = Deadline(self._timeout_seconds)
        wanted = tuple(partitions)
        stable = self._offsets(topic, wanted, OffsetSpec.latest(), deadline)
        spec = OffsetSpec.for_timestamp(max(round(moment.timestamp() * 1000), 0))
        found = self._offsets(topic, wanted, spec, deadline)
        return {
            partition: offset if offset >= 0 else stable[partition]
            for partition, offset in found.items()
        }

    def first_since(self, topic: str, wanted: OffsetRange, moment: datetime) -> int:
        """
        Find a range's first record whose own timestamp is *moment* or later.

        Kafka's search by time answers positions, not records: it also finds a transaction's marker,
        which carries the broker's clock. So its answer is where to begin to look.

        Returns:
            Its offset; the range's end if there is none; the range's start if that was not found
            out in time, so that nothing is left out.

        Raises:
            KafkaUnavailable, TopicMissing, ConfigError: As `view`.
        """
        deadline = Deadline(self._timeout_seconds)
        since_ms = moment.timestamp() * 1000
        reader = RangeReader(
            self._connection,
            topic,
            wanted,
            filename_header=_NO_NAME,
            stall_seconds=self._timeout_seconds,
        )
        for record in reader:
            if record.timestamp_ms >= since_ms:
                return record.offset
            if deadline.has_passed:
                return wanted.start
        return wanted.end

    def first_timestamps(
        self,
        topic: str,
        offsets: Mapping[int, int],
        *,
        isolation: Isolation,
        timeout_seconds: float | None = None,
    ) -> dict[int, datetime | None]:
        """
        Read the timestamp of the first record at or after an offset, by partition.

        Costs one record's bytes a partition: ask for few. See `glimpse.first_timestamps` for what
        is None and what is left out when the time is over.

        Raises:
            KafkaUnavailable, TopicMissing, ConfigError: As `view`.
        """
        return first_timestamps(
            self._connection,
            self._listener,
            topic,
            offsets,
            isolation=isolation,
            deadline=Deadline(timeout_seconds or self._timeout_seconds),
        )

    def mirror(self, group: str, topic: str, offsets: Mapping[int, int], *, metadata: str) -> None:
        """
        Commit *offsets* (each the next to read) to a consumer group that nobody joins.

        Raises:
            KafkaUnavailable: No answer in time, or other consumers have joined the group.
            TopicMissing, ConfigError: As `view`.
        """
        wanted = [
            TopicPartition(topic, partition, offset, metadata)
            for partition, offset in sorted(offsets.items())
        ]
        if wanted:
            deadline, doing = Deadline(self._timeout_seconds), f"consumer group {group!r}"
            self._patiently(lambda: self._commit(group, wanted, deadline), deadline, doing)

    def mirrored(
        self, group: str, topic: str, partitions: Iterable[int]
    ) -> dict[int, tuple[int, str]]:
        """
        Read what `mirror` wrote: offset and metadata by partition; none if it never did.

        Raises:
            KafkaUnavailable, ConfigError: As `mirror`.
        """
        wanted = [TopicPartition(topic, partition) for partition in partitions]
        if not wanted:
            return {}
        # Not by the admin client: if the group's coordinator moves, librdkafka 2.16 takes the
        # process down with it (confluentinc/librdkafka issue 5040).
        consumer = open_consumer(self._connection, self._listener, {"group.id": group})

        def question(seconds: float) -> list[TopicPartition]:
            found = consumer.committed(wanted, timeout=seconds)
            for error in (one.error for one in found if one.error):
                raise KafkaException(error)
            return list(found)

        with closing(consumer):
            deadline, doing = Deadline(self._timeout_seconds), f"consumer group {group!r}"
            try:
                found = ask(consumer, self._listener, question, deadline, doing)
            except KafkaUnavailable as silence:
                raise untold(self._client, self._connection, group) or silence from None
        return {one.partition: (one.offset, one.metadata or "") for one in found if one.offset >= 0}

    def group_members(self, group: str) -> int | None:
        """
        Count the consumers that are in a group now.

        Returns:
            None if there is no such group.

        Raises:
            KafkaUnavailable, ConfigError: As `mirror`.
        """
        deadline = Deadline(self._timeout_seconds)

        def question() -> int | None:
            asked = self._client.describe_consumer_groups([group], **_within(deadline))
            try:
                described = self._result(asked[group], deadline)
            except KafkaException as error:
                if error.args[0].code() in codes.NO_GROUP:
                    return None
                raise
            is_there = described.state != ConsumerGroupState.DEAD
            return len(described.members) if is_there else None

        return self._patiently(question, deadline, f"consumer group {group!r}")

    def offsets_kept_seconds(self) -> float | None:
        """
        Ask how long a group without members keeps an offset after its commit.

        Returns:
            None if the broker does not say: it may be forbidden to ask.

        Raises:
            KafkaUnavailable: No broker answered in time.
        """
        deadline = Deadline(self._timeout_seconds)
        try:
            described = self._result(self._client.describe_cluster(**_within(deadline)), deadline)
            resource = ConfigResource(ResourceType.BROKER, str(described.nodes[0].id))
            asked = self._client.describe_configs([resource], **_within(deadline))
            entry = self._result(asked[resource], deadline).get("offsets.retention.minutes")
        except KafkaException:
            return None
        return None if entry is None or entry.value is None else 60.0 * int(entry.value)

    def _commit(self, group: str, wanted: list[TopicPartition], deadline: Deadline) -> None:
        request = ConsumerGroupTopicPartitions(group, wanted)
        asked = self._client.alter_consumer_group_offsets([request], **_within(deadline))
        (answer,) = (self._result(future, deadline) for future in asked.values())
        for error in (one.error for one in answer.topic_partitions if one.error):
            raise KafkaException(error)

    def _described(self, topic: str, deadline: Deadline) -> TopicDescription:
        def question() -> TopicDescription:
            asked = self._client.describe_topics(TopicCollection([topic]), **_within(deadline))
            return self._result(asked[topic], deadline)

        return self._patiently(question, deadline, f"topic {topic!r}")

    def _settings(self, topic: str, deadline: Deadline) -> dict[str, str]:
        resource = ConfigResource(ResourceType.TOPIC, topic)

        def question() -> dict[str, str]:
            asked = self._client.describe_configs([resource], **_within(deadline))
            entries = self._result(asked[resource], deadline)
            return {name: entry.value for name, entry in entries.items()}

        return self._patiently(question, deadline, f"settings of topic {topic!r}")

    def _cluster_id(self, deadline: Deadline) -> str:
        def question() -> str:
            asked = self._client.describe_cluster(**_within(deadline))
            return str(self._result(asked, deadline).cluster_id)

        return self._patiently(question, deadline, "the cluster's id")

    def _watermarks(
        self, topic: str, partitions: tuple[int, ...], deadline: Deadline
    ) -> dict[int, Watermarks]:
        low = self._offsets(topic, partitions, OffsetSpec.earliest(), deadline)
        end = self._offsets(topic, partitions, OffsetSpec.latest(), deadline)
        high = self._ends(
            topic, partitions, OffsetSpec.latest(), deadline, IsolationLevel.READ_UNCOMMITTED
        )
        return {
            partition: Watermarks(low[partition], end[partition], *high[partition])
            for partition in partitions
        }

    def _offsets(
        self,
        topic: str,
        partitions: tuple[int, ...],
        spec: OffsetSpec,
        deadline: Deadline,
    ) -> dict[int, int]:
        found = self._ends(topic, partitions, spec, deadline, IsolationLevel.READ_COMMITTED)
        return {partition: offset for partition, (offset, _) in found.items()}

    def _ends(
        self,
        topic: str,
        partitions: tuple[int, ...],
        spec: OffsetSpec,
        deadline: Deadline,
        isolation: IsolationLevel,
    ) -> dict[int, tuple[int, int | None]]:
        """Ask for an offset of each partition, with the epoch of the leader that says so."""
        if not partitions:
            return {}

        def question() -> dict[int, tuple[int, int | None]]:
            asked = self._client.list_offsets(
                {TopicPartition(topic, partition): spec for partition in partitions},
                isolation_level=isolation,
                **_within(deadline),
            )
            found = {place: self._result(future, deadline) for place, future in asked.items()}
            return {place.partition: (one.offset, one.leader_epoch) for place, one in found.items()}

        return self._patiently(question, deadline, f"offsets of topic {topic!r}")

    def _patiently(
        self, question: Callable[[], AnswerT], deadline: Deadline, doing: str
    ) -> AnswerT:
        """Ask again while a broker is only just coming up, or a leader or coordinator moves."""
        coming_up = ComingUp()
        while True:
            try:
                return question()
            except KafkaException as error:
                cause = error.args[0]
                if not coming_up.may_pass(cause) or deadline.has_passed:
                    raise self._listener.translated(cause, doing) from None
                self._learn_leaders(deadline)
                time.sleep(RETRY_SECONDS)

    def _learn_leaders(self, deadline: Deadline) -> None:
        """
        Ask who leads what by now.

        After a leader's epoch has changed, librdkafka 2.16 asks for offsets by the old one, and is
        refused, until something else makes it ask anew.
        """
        with suppress(KafkaException):
            self._client.list_topics(timeout=min(RETRY_SECONDS * 10, max(deadline.left, 0.01)))

    def _result(self, asked: Future[AnswerT], deadline: Deadline) -> AnswerT:
        """Wait for an answer, listening meanwhile to what happens on the connections."""
        while True:
            try:
                return asked.result(timeout=_LISTEN_SECONDS)
            except TimeoutError:
                self._client.poll(0)
                if self._listener.login_refused or deadline.has_passed:
                    raise self._listener.unavailable(None, deadline.seconds) from None
            except KafkaException as error:
                self._client.poll(0)
                if error.args[0].code() in codes.NO_ANSWER:
                    raise self._listener.unavailable(error.args[0], deadline.seconds) from None
                raise


def _within(deadline: Deadline) -> dict[str, float]:
    """Leave giving up to `_result`, which drops the question with its client."""
    return {"request_timeout": deadline.left + _BEYOND_SECONDS}
