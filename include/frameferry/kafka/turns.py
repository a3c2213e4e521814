"""Turns at asking: a few at once, and fewer for one Kafka, which may be silent."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from frameferry.errors import KafkaUnavailable


@dataclass
class Turn:
    """Leave to ask; whoever meets a Kafka that is silent says so by `trouble`."""

    trouble: KafkaUnavailable | None = None


class Turns:
    """
    Let *at_once* threads ask, *at_once_each* of them the same Kafka; the others wait in line.

    Args:
        at_once: In all.
        at_once_each: Of those that name the same servers; below *at_once*, so that others are
            asked while these get no answer.
    """

    def __init__(self, at_once: int, at_once_each: int) -> None:
        self._at_once = at_once
        self._at_once_each = at_once_each
        self._changed = threading.Condition()
        self._asking: Counter[str] = Counter()
        self._silent: dict[str, tuple[float, KafkaUnavailable]] = {}

    @contextmanager
    def turn(self, servers: str, seconds: float) -> Iterator[Turn]:
        """
        Wait for a turn, and have it.

        Raises:
            KafkaUnavailable: None came free in *seconds*. Or another thread met the same Kafka
                silent meanwhile, which is the answer for those in line, too.
        """
        self._wait(servers, seconds)
        mine = Turn()
        try:
            yield mine
        finally:
            self._end(servers, mine)

    def _wait(self, servers: str, seconds: float) -> None:
        since = time.monotonic()
        with self._changed:
            if not self._changed.wait_for(lambda: self._is_over(servers, since), seconds):
                what = f"Kafka at {servers} was not asked: no turn came within {seconds:g} s"
                raise KafkaUnavailable(what, remedy="It is asked again by itself")
            if (trouble := self._told(servers, since)) is not None:
                raise KafkaUnavailable(trouble.what, remedy=trouble.remedy)
            self._asking[servers] += 1

    def _is_over(self, servers: str, since: float) -> bool:
        room = self._asking.total() < self._at_once and self._asking[servers] < self._at_once_each
        return room or self._told(servers, since) is not None

    def _told(self, servers: str, since: float) -> KafkaUnavailable | None:
        """Find the trouble that somebody else had while this one waited."""
        if servers not in self._silent:
            return None
        at, trouble = self._silent[servers]
        return trouble if at >= since else None

    def _end(self, servers: str, turn: Turn) -> None:
        with self._changed:
            self._asking -= Counter([servers])
            if turn.trouble is not None:
                self._silent[servers] = (time.monotonic(), turn.trouble)
            self._changed.notify_all()
