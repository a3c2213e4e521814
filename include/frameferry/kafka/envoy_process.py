"""
The program of an envoy: it puts to Kafka what it is asked, until whoever asks is gone.

Its standard input is one end of a socket. Native code that ends a process ends this one, and not
the one that asked, which serves others as well.
"""

from __future__ import annotations

import os
import queue
import sys
import threading
import time
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

from frameferry.errors import FrameferryError
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.errand import OPEN, Question, Reply

_KEPT_SECONDS: Final = 60.0
_STATM: Final = Path("/proc/self/statm")


def main() -> None:
    """Answer one question after the other. An error that is not ours ends the process."""
    line = Connection(os.dup(sys.stdin.fileno()))
    line.send(Reply())
    asked: queue.SimpleQueue[Question] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(line, asked), daemon=True).start()
    desk = _Desk()
    while True:
        # A reply to nobody: `_listen` meets the same end of the line.
        with suppress(BrokenPipeError, ConnectionResetError):
            line.send(desk.reply(asked.get()))


def _listen(line: Connection, asked: queue.SimpleQueue[Question]) -> None:
    """Hear what is asked and, even in the middle of a question, that nobody asks any more."""
    with suppress(EOFError, OSError):
        while True:
            asked.put(line.recv())
    os._exit(0)


class _Desk:
    """
    Keep the cluster that was asked last: a pipeline that waits asks the same again in seconds.

    It is made anew after an error, so that no abandoned question stays with it, and now and then,
    so that none of librdkafka's connections grows old.
    """

    def __init__(self) -> None:
        self._wanted = Question(OPEN, (), {})
        self._cluster: Cluster | None = None
        self._made = 0.0

    def reply(self, question: Question) -> Reply:
        """Put a question, and bring back what became of it."""
        try:
            answer = self._answer(question)
        except FrameferryError as error:
            self._drop()
            return Reply(error=error, resident_bytes=_resident_bytes())
        return Reply(answer, resident_bytes=_resident_bytes())

    def _answer(self, question: Question) -> Any:  # noqa: ANN401 - whatever the method returns
        if question.name == OPEN:
            self._open(question)
            return None
        return getattr(self._opened(), question.name)(*question.arguments, **question.options)

    def _open(self, wanted: Question) -> None:
        if wanted != self._wanted or time.monotonic() - self._made > _KEPT_SECONDS:
            self._drop()
        self._wanted = wanted
        self._opened().forget()

    def _opened(self) -> Cluster:
        if self._cluster is None:
            self._cluster = Cluster(*self._wanted.arguments, **self._wanted.options)
            self._made = time.monotonic()
        return self._cluster

    def _drop(self) -> None:
        if self._cluster is not None:
            self._cluster.close()
        self._cluster = None


def _resident_bytes() -> int:
    """Measure this process's memory; 0 if the system does not tell."""
    with suppress(OSError):
        return int(_STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


if __name__ == "__main__":
    main()
