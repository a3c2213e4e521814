"""One envoy: a process of its own that asks Kafka, and may die of it alone."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import frameferry
from frameferry.config.secrets import is_secret_option
from frameferry.kafka.errand import Question, Reply

START_SECONDS: Final = 60.0
"""A fresh interpreter takes half a second, and many times as long on a very busy machine."""
_STALL_SECONDS: Final = 5
"""Time for the rest of a message, in whole seconds: a stopped process leaves half of one."""
_FAREWELL_SECONDS: Final = 2.0
_PROGRAM: Final = "frameferry.kafka.envoy_process"
_LATE: Final = "gave no answer within {:g} s and was ended"


class EnvoyLost(Exception):
    """The envoy ended, or was ended, before it had replied; its text says how."""


class Envoy:
    """
    A process that asks Kafka, one question at a time; whoever has it must `end` it.

    It is a fresh interpreter, never a fork: threads of the process that asks hold locks. Questions,
    with the secrets of a connection, go through a socket between the two. They stand neither in its
    arguments nor in its environment. It ends with the process that asks.

    Raises:
        EnvoyLost: It did not come up.
    """

    def __init__(self) -> None:
        self.sessions = 0
        self.resident_bytes = 0
        self.is_free = False
        self._line, theirs = _line()
        with theirs:
            try:
                self._process = _started(theirs)
            except OSError as error:
                self._line.close()
                msg = f"could not be started ({error})"
                raise EnvoyLost(msg) from None
        self._replied(START_SECONDS)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Say whether it may be asked, as far as one can know before."""
        return not self._line.closed and self._process.poll() is None

    def ask(self, question: Question, seconds: float) -> Any:  # noqa: ANN401 - what Cluster returns
        """
        Put one question, one thread at a time; end the envoy if it does not reply in time.

        Raises:
            EnvoyLost: It ended before it had replied.
            FrameferryError: What the question raised there.
        """
        self.is_free = False
        try:
            self._line.send(question)
        except BlockingIOError:
            raise self._late(_STALL_SECONDS) from None
        except OSError:
            raise self._lost() from None
        reply = self._replied(seconds)
        if reply.error is not None:
            raise reply.error
        return reply.answer

    def end(self) -> None:
        """End the process, and leave nothing of it. May be called twice."""
        self.is_free = False
        self._line.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_FAREWELL_SECONDS)
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()

    def forget(self) -> None:
        """Let go of it in a forked child: it is the parent's."""
        self._line.close()
        self._process.returncode = 0

    def _replied(self, seconds: float) -> Reply:
        try:
            if not self._line.poll(seconds):
                raise self._late(seconds)
            reply: Reply = self._line.recv()
        except BlockingIOError:
            raise self._late(_STALL_SECONDS) from None
        except (EOFError, OSError):
            raise self._lost() from None
        self.resident_bytes = reply.resident_bytes
        self.is_free = True
        return reply

    def _late(self, seconds: float) -> EnvoyLost:
        self._process.kill()
        return self._lost(_LATE.format(seconds))

    def _lost(self, how: str = "") -> EnvoyLost:
        self.end()
        return EnvoyLost(how or _ending(self._process.returncode))


def _line() -> tuple[Connection, socket.socket]:
    """Make both ends of the socket; ours waits only a while for the rest of a message."""
    ours, theirs = socket.socketpair()
    patience = struct.pack("@ll", _STALL_SECONDS, 0)
    for direction in (socket.SO_SNDTIMEO, socket.SO_RCVTIMEO):
        ours.setsockopt(socket.SOL_SOCKET, direction, patience)
    return Connection(ours.detach()), theirs


def _started(line: socket.socket) -> subprocess.Popen[bytes]:
    """Start an interpreter; what native code says at its end goes to our own standard error."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", _PROGRAM],
        stdin=line.fileno(),
        stdout=subprocess.DEVNULL,
        env=_environment(os.environ),
        # An interrupt at a terminal is for the process that asks.
        start_new_session=True,
    )


def _environment(own: Mapping[str, str]) -> dict[str, str]:
    """Hand on what is not secret: not Airflow's variables (connections), not the ledger's URL."""
    kept = {
        name: value
        for name, value in own.items()
        if not name.lstrip("_").startswith("AIRFLOW")
        and name != "FRAMEFERRY_LEDGER_URL"
        and not is_secret_option(name)
    }
    paths = [str(Path(frameferry.__file__).parents[1]), *filter(None, [own.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths)}


def _ending(code: int) -> str:
    if code < 0:
        return f"ended by signal {-code} ({signal.strsignal(-code)})"
    return f"ended with exit status {code}"
