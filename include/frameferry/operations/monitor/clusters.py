"""Kafka clusters that stay open from one pipeline to the next, and are not waited for again."""

from __future__ import annotations

from frameferry.config.connections import KafkaConnection
from frameferry.errors import KafkaThrottled, KafkaUnavailable
from frameferry.kafka.cluster import Cluster, TopicView

_SILENCES = 2
"""A single one may be a topic's own, whose partition has no leader."""


class KeptCluster(Cluster):
    """
    A cluster that several pipelines ask in turn.

    `close` only forgets what the last one heard; `drop` closes it. Once it was silent to two of
    them, the others are told so at once: a cluster that is down costs two time-outs, not one each.
    """

    def __init__(self, connection: KafkaConnection, *, timeout_seconds: float = 10) -> None:
        super().__init__(connection, timeout_seconds=timeout_seconds)
        self._silences = 0
        self._last_words = ("", "")

    def close(self) -> None:
        """Forget what was heard; the client stays for the next pipeline."""
        self.forget()

    def drop(self) -> None:
        """Close it; may be called twice."""
        super().close()

    def view(self, topic: str, partitions: tuple[int, ...] | None) -> TopicView:
        """
        Read a topic as `Cluster.view` does.

        Raises:
            KafkaUnavailable: It does not answer, or did not answer the others either.
        """
        if self._silences >= _SILENCES:
            what, remedy = self._last_words
            raise KafkaUnavailable(what, remedy=remedy)
        try:
            view = super().view(topic, partitions)
        except KafkaThrottled:
            raise
        except KafkaUnavailable as error:
            self._silences += 1
            self._last_words = error.what, error.remedy
            raise
        self._silences = 0
        return view


class Clusters:
    """The clusters of one thread, by connection id; each is opened when it is first asked."""

    def __init__(self) -> None:
        self._kept: dict[str, KeptCluster] = {}

    def open(self, connection: KafkaConnection, *, timeout_seconds: float) -> KeptCluster:
        """Open a cluster, or hand out the one that is open."""
        if connection.conn_id not in self._kept:
            opened = KeptCluster(connection, timeout_seconds=timeout_seconds)
            self._kept[connection.conn_id] = opened
        return self._kept[connection.conn_id]

    def close(self) -> None:
        """Close all of them."""
        for cluster in self._kept.values():
            cluster.drop()
        self._kept.clear()
