"""A cluster that is asked through an envoy, for processes that serve others."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Final

from frameferry.config.connections import KafkaConnection
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import KafkaUnavailable
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.kafka.envoy import Envoy, EnvoyLost
from frameferry.kafka.envoys import Envoys
from frameferry.kafka.errand import OPEN, Question
from frameferry.kafka.glimpse import Isolation

_GRACE_SECONDS: Final = 5.0
"""Time beyond `Cluster`'s own time-outs: an envoy that takes longer hangs, and is ended."""


class EnvoyCluster(Cluster):
    """
    A `Cluster` in another process: the same questions, answers and errors.

    Args:
        envoys: Those of this process.
        connection: Where and how.
        timeout_seconds: Of each method as a whole, as of `Cluster`. The wait for a turn is a
            little longer, so that it ends with the answer of those who have one.

    Raises:
        KafkaUnavailable: Besides what `Cluster` says: no turn came in time; or the envoy ended, or
            was ended since it hung. Then another one puts the next question.
    """

    def __init__(
        self, envoys: Envoys, connection: KafkaConnection, *, timeout_seconds: float = 10
    ) -> None:
        self._envoys = envoys
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._envoy: Envoy | None = None
        with ExitStack() as opening:
            self._turn = opening.enter_context(
                envoys.turns.turn(connection.bootstrap_servers, timeout_seconds + _GRACE_SECONDS)
            )
            self._open()
            self._closing = opening.pop_all()

    def close(self) -> None:
        """Let the envoy rest, with its client. May be called twice."""
        with self._closing:
            envoy, self._envoy = self._envoy, None
            if envoy is not None:
                self._envoys.welcome(envoy)

    def forget(self) -> None:
        """As `Cluster.forget`."""
        self._ask("forget")

    def throttled_seconds(self) -> float:
        """As `Cluster.throttled_seconds`."""
        return float(self._ask("throttled_seconds"))

    def view(self, topic: str, partitions: tuple[int, ...] | None) -> TopicView:
        """As `Cluster.view`."""
        view: TopicView = self._ask("view", topic, partitions)
        return view

    def thin_partitions(self, topic: str) -> tuple[int, ...]:
        """As `Cluster.thin_partitions`."""
        found: tuple[int, ...] = self._ask("thin_partitions", topic)
        return found

    def offsets_at(self, topic: str, partitions: Iterable[int], moment: datetime) -> dict[int, int]:
        """As `Cluster.offsets_at`."""
        found: dict[int, int] = self._ask("offsets_at", topic, tuple(partitions), moment)
        return found

    def first_since(self, topic: str, wanted: OffsetRange, moment: datetime) -> int:
        """As `Cluster.first_since`."""
        return int(self._ask("first_since", topic, wanted, moment))

    def first_timestamps(
        self,
        topic: str,
        offsets: Mapping[int, int],
        *,
        isolation: Isolation,
        timeout_seconds: float | None = None,
    ) -> dict[int, datetime | None]:
        """As `Cluster.first_timestamps`."""
        found: dict[int, datetime | None] = self._ask(
            "first_timestamps",
            topic,
            dict(offsets),
            isolation=isolation,
            timeout_seconds=timeout_seconds,
        )
        return found

    def mirror(self, group: str, topic: str, offsets: Mapping[int, int], *, metadata: str) -> None:
        """As `Cluster.mirror`."""
        self._ask("mirror", group, topic, dict(offsets), metadata=metadata)

    def mirrored(
        self, group: str, topic: str, partitions: Iterable[int]
    ) -> dict[int, tuple[int, str]]:
        """As `Cluster.mirrored`."""
        found: dict[int, tuple[int, str]] = self._ask("mirrored", group, topic, tuple(partitions))
        return found

    def group_members(self, group: str) -> int | None:
        """As `Cluster.group_members`."""
        found: int | None = self._ask("group_members", group)
        return found

    def offsets_kept_seconds(self) -> float | None:
        """As `Cluster.offsets_kept_seconds`."""
        kept: float | None = self._ask("offsets_kept_seconds")
        return kept

    def _open(self) -> Envoy:
        opening = Question(OPEN, (self._connection,), {"timeout_seconds": self._timeout_seconds})
        try:
            self._envoy = self._envoys.send(opening, _GRACE_SECONDS)
        except EnvoyLost as lost:
            raise self._unavailable(OPEN, lost) from None
        return self._envoy

    def _ask(self, name: str, *arguments: Any, **options: Any) -> Any:  # noqa: ANN401 - as `Cluster`
        """Put a question through the envoy, or through another one if the last was lost."""
        envoy, began = self._envoy or self._open(), time.monotonic()
        try:
            return envoy.ask(Question(name, arguments, options), self._patience_seconds)
        except EnvoyLost as lost:
            self._envoys.welcome(envoy)
            self._envoy = None
            raise self._unavailable(name, lost) from None
        except KafkaUnavailable as trouble:
            if time.monotonic() - began >= self._timeout_seconds:
                self._turn.trouble = trouble
            raise

    @property
    def _patience_seconds(self) -> float:
        """Twice the time-out: `first_since` reads on, and waits for a record, as long as that."""
        return 2 * self._timeout_seconds + _GRACE_SECONDS

    def _unavailable(self, name: str, lost: EnvoyLost) -> KafkaUnavailable:
        servers = self._connection.bootstrap_servers
        what = f"The process that asks Kafka at {servers} {lost} (its question: {name})"
        return KafkaUnavailable(what, remedy="Nothing is lost; another one asks again by itself")
