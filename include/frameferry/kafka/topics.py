"""What a topic's partitions and settings mean to us."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from confluent_kafka import TopicPartitionInfo, Uuid

from frameferry.domain.offsets import Retention
from frameferry.errors import ConfigError, TopicCompacted, TopicMissing

_NO_ID: Final = str(Uuid(0, 0))


def wanted_partitions(
    topic: str, there: tuple[int, ...], partitions: tuple[int, ...] | None
) -> tuple[int, ...]:
    """
    Choose partitions of those there are; all if None.

    Raises:
        TopicMissing: One of them does not exist.
    """
    if partitions is None:
        return there
    missing = sorted(set(partitions) - set(there))
    if missing:
        msg = f"topic {topic!r} has no partition {', '.join(map(str, missing))}"
        raise TopicMissing(
            msg, remedy=f"Mend kafka.partitions in the pipeline's file: it has {len(there)}, from 0"
        )
    return tuple(sorted(partitions))


def identified(topic: str, topic_id: str) -> str:
    """
    Return a topic's id, which tells it from others, and from one created anew.

    Raises:
        ConfigError: The broker gives topics no ids: all have the zero id.
    """
    if topic_id == _NO_ID:
        msg = f"the broker gives topic {topic!r} no id, so that nobody sees it created anew"
        remedy = (
            "Kafka gives topics ids from 2.8 on (with ZooKeeper, where inter.broker.protocol."
            "version is 2.8 or later too): upgrade the brokers"
        )
        raise ConfigError(msg, remedy=remedy)
    return topic_id


def refuse_compacted(topic: str, settings: Mapping[str, str]) -> None:
    """
    Refuse a topic that forgets records by their key.

    Raises:
        TopicCompacted: Its cleanup policy contains `compact`.
    """
    policy = settings["cleanup.policy"]
    if "compact" in policy:
        msg = f"topic {topic!r} has cleanup.policy={policy}: pictures vanish before they are read"
        raise TopicCompacted(msg, remedy="Set its cleanup.policy to delete")


_FOR_EVER_MS = 100 * 366 * 86_400_000


def kept(settings: Mapping[str, str]) -> Retention:
    """Read how long a topic keeps a record; -1 is Kafka's word for ever, and so are centuries."""
    if "delete" not in settings["cleanup.policy"]:
        return Retention()
    kept_ms, kept_bytes = int(settings["retention.ms"]), int(settings["retention.bytes"])
    return Retention(
        seconds=kept_ms / 1000 if 0 <= kept_ms < _FOR_EVER_MS else None,
        bytes=None if kept_bytes < 0 else kept_bytes,
    )


def thin(partitions: Iterable[TopicPartitionInfo]) -> tuple[int, ...]:
    """List the partitions of which not every replica is in sync."""
    return tuple(sorted(one.id for one in partitions if len(one.isr) < len(one.replicas)))
