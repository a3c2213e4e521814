"""Start one server and wait for its answer, whatever its last run left behind."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from frameferry.errors import StackError
from frameferry.stack import ports, processes
from frameferry.stack.processes import Command, Spawned
from frameferry.stack.state import ServerRecord, StackState, StateFile


class Server(Protocol):
    """One server as its module describes it. Nothing happens before `prepare`."""

    def prepare(self) -> None:
        """Write its files and what it needs once; harmless if they are there."""

    def commands(self) -> Mapping[str, Command]:
        """Name its processes; the first is the one that answers."""

    def is_ready(self) -> bool:
        """Ask it a question that only a working server answers; give up within seconds."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a server is built from: its ports by purpose, the home, and a giver of kept secrets."""

    home: Path
    ports: Mapping[str, int]
    secret: Callable[[str], str] = field(repr=False)

    def log(self, name: str) -> Path:
        """The log of a process."""
        return self.home / "logs" / f"{name}.log"


@dataclass(frozen=True, slots=True)
class Kind:
    """
    How to build a server: its name, its ports (and how many of each), its time to start.

    `refresh` tells a running server what may be new since it started.
    """

    name: str
    ports: Mapping[str, int]
    deadline_seconds: float
    build: Callable[[Setting], Server]
    refresh: Callable[[Setting], None] = lambda _: None


def reserve(kind: Kind, files: StateFile) -> None:
    """
    Fix the server's ports before it starts, so that others can be told; stop half a server.

    Raises:
        StackError: One of its processes does not end, or no port is free.
    """
    if not files.state.server(kind.name).is_up:
        processes.stop(files.state.mark(kind.name))
        files.change(lambda state: _choose_ports(kind, state))


def start(kind: Kind, files: StateFile, *, cancelled: threading.Event | None = None) -> float:
    """
    Start a server and wait until it answers; if it does already, unchanged, let it go on.

    Its ports are those of the last run if they are free.

    Args:
        kind: Which server.
        files: Its home's state, written as it goes.
        cancelled: Set it to give up waiting.

    Returns:
        The seconds it took.

    Raises:
        StackError: It did not start; its processes are stopped.
    """
    began = time.monotonic()
    reserve(kind, files)
    if is_up(kind, files):
        kind.refresh(setting(kind.name, files))
    else:
        processes.stop(files.state.mark(kind.name))
        files.change(lambda state: _choose_ports(kind, state))
        _launch(kind, files, cancelled or threading.Event())
    return time.monotonic() - began


def is_up(kind: Kind, files: StateFile) -> bool:
    """Say whether a server's processes all live, are those we would spawn now, and answer."""
    record = files.state.server(kind.name)
    if not record.is_up:
        return False
    server = kind.build(setting(kind.name, files))
    return record.digest == _digest(server.commands()) and server.is_ready()


def setting(name: str, files: StateFile) -> Setting:
    """What a server of this home is built from."""
    return Setting(files.home, files.state.server(name).ports, files.secret)


def _launch(kind: Kind, files: StateFile, cancelled: threading.Event) -> None:
    server = kind.build(setting(kind.name, files))
    try:
        server.prepare()
        _spawn(kind, server, files, cancelled)
    except BaseException:
        processes.stop(files.state.mark(kind.name))
        raise


def _choose_ports(kind: Kind, state: StackState) -> None:
    record = state.server(kind.name)
    record.ports = ports.choose(kind.ports, record.ports, taken=state.taken_ports(but=kind.name))
    record.processes = {}


def _spawn(kind: Kind, server: Server, files: StateFile, cancelled: threading.Event) -> None:
    if cancelled.is_set():
        msg = f"the start of {kind.name} was interrupted"
        raise StackError(msg)
    commands = server.commands()
    common = {"FRAMEFERRY_HOME": str(files.home)}
    spawned = {
        name: processes.spawn(
            replace(command, env={**common, **command.env}), files.state.mark(kind.name)
        )
        for name, command in commands.items()
    }
    files.change(lambda state: _record(state.server(kind.name), spawned, _digest(commands)))
    processes.wait_until(
        server.is_ready,
        name=kind.name,
        spawned=[(spawned[name], commands[name].log) for name in commands],
        deadline_seconds=kind.deadline_seconds,
        cancelled=cancelled,
    )


def _record(record: ServerRecord, spawned: dict[str, Spawned], digest: str) -> None:
    record.processes = spawned
    record.digest = digest


def _digest(commands: Mapping[str, Command]) -> str:
    """Digest what runs, so that an upgrade or another port of a neighbour is noticed."""
    content = [[name, c.argv, sorted(c.env.items())] for name, c in commands.items()]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
