"""The envoys of one process that serves others: started when needed, replaced, ended."""

from __future__ import annotations

import atexit
import os
import threading
import time
from contextlib import suppress
from typing import Final

from frameferry.errors import FrameferryError
from frameferry.kafka.envoy import START_SECONDS, Envoy, EnvoyLost
from frameferry.kafka.errand import Question
from frameferry.kafka.turns import Turns

AT_ONCE: Final = 8
"""Envoys that one process has at most, of 25 MB each; outside of bursts it has one or two."""
AT_ONCE_EACH: Final = 4
SESSIONS: Final = 10_000
"""A life: eight hours of one pipeline's looks. A new envoy takes half a second of a processor."""
RESIDENT_BYTES: Final = 200_000_000
IDLE_SECONDS: Final = 60.0


class Envoys:
    """
    A few envoys, for all threads of a process; none is started before it is needed.

    An envoy carries the questions of one `EnvoyCluster` after the other. It is ended after
    *sessions* of them, when it holds RESIDENT_BYTES, and after *idle_seconds* at rest.
    """

    def __init__(self, *, sessions: int = SESSIONS, idle_seconds: float = IDLE_SECONDS) -> None:
        self._sessions = sessions
        self._idle_seconds = idle_seconds
        self._begin()
        os.register_at_fork(after_in_child=self._forget)
        atexit.register(self.close)

    def _begin(self) -> None:
        self.turns = Turns(AT_ONCE, AT_ONCE_EACH)
        self._changed = threading.Condition()
        self._all: set[Envoy] = set()
        self._resting: list[tuple[float, Envoy]] = []
        self._keeper: threading.Thread | None = None

    @property
    def pids(self) -> list[int]:
        """The processes that there are now."""
        with self._changed:
            return sorted(envoy.pid for envoy in self._all)

    def send(self, opening: Question, seconds: float) -> Envoy:
        """
        Send one out, to be brought back by `welcome`: one that rested, or a new one.

        One that died at rest is passed over: nothing was asked of it yet.

        Raises:
            EnvoyLost: The new one did not come up, or ended at once.
            ConnectionMissing: librdkafka does not understand the connection's options.
        """
        while (rested := self._rested()) is not None:
            with suppress(EnvoyLost):
                return self._opened(rested, opening, seconds)
            self._drop(rested)
        return self._opened(self._new(), opening, START_SECONDS)

    def welcome(self, envoy: Envoy) -> None:
        """Take one back: it rests, or is ended if it is old or has not replied."""
        with self._changed:
            if envoy in self._all and self._may_rest(envoy):
                self._resting.append((time.monotonic(), envoy))
                return
        self._drop(envoy)

    def close(self) -> None:
        """End all; call it when nobody asks. Whoever asks later gets new ones."""
        with self._changed:
            ended, self._all, self._resting = self._all, set(), []
            self._changed.notify_all()
        for envoy in ended:
            envoy.end()

    def _opened(self, envoy: Envoy, opening: Question, seconds: float) -> Envoy:
        envoy.sessions += 1
        try:
            envoy.ask(opening, seconds)
        except FrameferryError:
            self.welcome(envoy)
            raise
        return envoy

    def _rested(self) -> Envoy | None:
        """Take the one that came back last, so that those who are not needed grow old."""
        with self._changed:
            return self._resting.pop()[1] if self._resting else None

    def _new(self) -> Envoy:
        envoy = Envoy()
        with self._changed:
            self._all.add(envoy)
            if self._keeper is None:
                self._keeper = threading.Thread(
                    target=self._keep, name="frameferry-envoys", daemon=True
                )
                self._keeper.start()
        return envoy

    def _may_rest(self, envoy: Envoy) -> bool:
        is_young = envoy.sessions < self._sessions and envoy.resident_bytes < RESIDENT_BYTES
        return envoy.is_free and is_young

    def _drop(self, envoy: Envoy) -> None:
        with self._changed:
            self._all.discard(envoy)
            self._changed.notify_all()
        envoy.end()

    def _keep(self) -> None:
        """End those that nobody needs any more, and what is left of those that died at rest."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: not self._all, self._idle_seconds / 2)
                if not self._all:
                    self._keeper = None
                    return
                old = [envoy for since, envoy in self._resting if self._is_old(since, envoy)]
                self._resting = [one for one in self._resting if one[1] not in old]
            for envoy in old:
                self._drop(envoy)

    def _is_old(self, since: float, envoy: Envoy) -> bool:
        return not envoy.is_alive or time.monotonic() - since > self._idle_seconds

    def _forget(self) -> None:
        """Begin anew in a forked child: two on one line would get each other's answers."""
        for envoy in self._all:
            envoy.forget()
        self._begin()
