"""How long a topic keeps its records, and whether it has all its replicas, in Kafka's words."""

from __future__ import annotations

import pytest
from confluent_kafka import Node, TopicPartitionInfo

from frameferry.kafka.topics import kept, thin

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("said_ms", "seconds"),
    [
        ("-1", None),
        ("0", 0),
        (str(7 * DAY_MS), 7 * 86_400),
        (str(30 * 365 * DAY_MS), 30 * 365 * 86_400),
        (str(200 * 365 * DAY_MS), None),
        (str(2**63 - 1), None),
    ],
)
def test_ages_that_no_record_reaches_mean_for_ever(said_ms: str, seconds: float | None) -> None:
    settings = {"cleanup.policy": "delete", "retention.ms": said_ms, "retention.bytes": "-1"}
    assert seconds == kept(settings).seconds


def test_a_partition_whose_replicas_are_not_all_in_sync_is_thin() -> None:
    one, two = Node(1, "kafka1", 9092), Node(2, "kafka2", 9092)
    whole = TopicPartitionInfo(0, one, [one, two], [two, one])
    thinned = TopicPartitionInfo(1, one, [one, two], [one])
    assert (1,) == thin([whole, thinned])
    assert () == thin([whole])
