"""What a broker's quota holds back: with each answer it says how long it will pause."""

from __future__ import annotations

import time
from math import inf
from typing import Final, Unpack

from confluent_kafka import ThrottleEvent

from frameferry.errors import KafkaThrottled, Where

LEAST_SHARE: Final = 0.25
"""A share of a reader's time: below it, the quota is not what takes so long."""
REMEDY: Final = (
    "It goes on all the same; ask for a higher quota of the connection's user or client.id "
    "(consumer_byte_rate, request_percentage)"
)


def remark(seconds: float, of_seconds: float) -> str | None:
    """Put into words that a quota is why a batch took so long; None if it is not."""
    if not seconds or seconds < LEAST_SHARE * of_seconds:
        return None
    return (
        f"Kafka's quota held back its reading for {seconds:.0f} s of {of_seconds:.0f} s. {REMEDY}"
    )


class Throttling:
    """
    How long a quota held one reader back, or several that read one after the other.

    Args:
        patience_seconds: From now on. A reader that takes longer, and was held back for a good part
            of it, gives up. Infinite for a reader without a deadline.
    """

    def __init__(self, patience_seconds: float = inf) -> None:
        self._patience_seconds = patience_seconds
        self._began = time.monotonic()
        self._paused_until = self._began
        self._paused_seconds = 0.0
        self.pauses = 0

    def note(self, event: ThrottleEvent) -> None:
        """Hear of a pause (`throttle_cb`); what overlaps counts once."""
        self.pauses += 1
        now = time.monotonic()
        end = now + event.throttle_time
        self._paused_seconds += max(end - max(now, self._paused_until), 0.0)
        self._paused_until = max(self._paused_until, end)

    def forget(self) -> None:
        """Begin anew: what was held back before now was somebody else's."""
        self._began = time.monotonic()
        self._paused_seconds = self.pause_seconds

    @property
    def pause_seconds(self) -> float:
        """How long the broker still holds its answers back."""
        return max(self._paused_until - time.monotonic(), 0.0)

    @property
    def seconds(self) -> float:
        """How long it held them back so far."""
        return max(self._paused_seconds - self.pause_seconds, 0.0)

    def refuse_endless(self, **where: Unpack[Where]) -> None:
        """
        Give up if the patience is over and a quota is why.

        Raises:
            KafkaThrottled: Says how long the quota held back, and of how long.
        """
        elapsed = time.monotonic() - self._began
        if elapsed < self._patience_seconds or self.seconds < LEAST_SHARE * elapsed:
            return
        msg = (
            f"Kafka's quota held back {self.seconds:.0f} s of {elapsed:.0f} s, and more is to come"
        )
        raise KafkaThrottled(msg, remedy=REMEDY, **where)
