"""Tell a broker that is not there from one that takes connections, or answers others, only."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from frameferry.config.connections import DEFAULT_KAFKA_PORT, KafkaConnection
from frameferry.errors import KafkaUnavailable

_TIMEOUT_SECONDS = 0.5
_ANSWER_SECONDS = 1.0
_MOST = 3


def takes_connections(bootstrap_servers: str) -> bool:
    """Connect to the first servers of the list, and hang up; say whether one of them took it."""
    return any(_takes(place.strip()) for place in bootstrap_servers.split(",")[:_MOST])


def untold(client: AdminClient, connection: KafkaConnection, group: str) -> KafkaUnavailable | None:
    """
    Make the error for a group whose offsets are not told, if other questions are answered.

    To a user who may not read the group, librdkafka 2.16 says nothing before its time-out.
    """
    try:
        client.list_topics(timeout=_ANSWER_SECONDS)
    except KafkaException:
        return None
    msg = (
        f"Kafka at {connection.bootstrap_servers} answers, but does not tell the offsets of "
        f"consumer group {group!r}"
    )
    remedy = (
        f"Let the user of connection {connection.conn_id!r} do this (Kafka ACLs: Read on groups "
        f"with the prefix {group.partition('.')[0]}.), or see whether all brokers are up"
    )
    return KafkaUnavailable(msg, remedy=remedy)


def _takes(place: str) -> bool:
    try:
        parts = urlsplit(f"//{place.rpartition('://')[2]}")
        address = (parts.hostname or "localhost", parts.port or DEFAULT_KAFKA_PORT)
        socket.create_connection(address, timeout=_TIMEOUT_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
