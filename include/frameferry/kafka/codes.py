# ruff: noqa: SLF001 - librdkafka's own codes are public under names with an underscore
"""Kafka's error codes, sorted by what they mean to us."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError

NAME_UNRESOLVED: Final = KafkaError._RESOLVE
ALL_BROKERS_DOWN: Final = KafkaError._ALL_BROKERS_DOWN

NO_ANSWER: Final = frozenset(
    {
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._WAIT_COORD,
    }
)
"""A call got no answer; only the client's listener knows why."""

NOT_YET: Final = frozenset(
    {
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
"""A broker is only just coming up, or its role moves: the same question is answered soon."""

MISSING: Final = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
FORBIDDEN: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
LOGIN_REFUSED: Final = frozenset(
    {KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED}
)
GROUP_IN_USE: Final = frozenset({KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP})
NO_GROUP: Final = frozenset({KafkaError.GROUP_ID_NOT_FOUND})
NOT_IN_LOG: Final = frozenset(
    {
        KafkaError._AUTO_OFFSET_RESET,
        KafkaError._LOG_TRUNCATION,
        KafkaError.OFFSET_OUT_OF_RANGE,
    }
)
"""The position lies outside the log: below its low watermark, or above its end."""
NOTHING_THERE: Final = NOT_IN_LOG | {KafkaError._PARTITION_EOF}
"""No record is left at a position, or none any more."""
