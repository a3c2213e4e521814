"""`stack.json`: what runs, on which ports, and the generated secrets; for its owner's eyes only."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from frameferry.errors import StackError
from frameferry.stack.processes import Spawned, is_alive

_PRIVATE = 0o600
# 64 characters as text: the longest secret, a key for SHA-512, should have that many.
_SECRET_BYTES = 48


@dataclass(slots=True)
class ServerRecord:
    """
    One server: its processes by name, and its ports by purpose, kept while it is down.

    `digest` is that of the spawned commands: if they change, it must start anew. It is `wanted`
    from the time a person starts it until a person stops it. `revived` are the times, in seconds
    since 1970, at which it was started again; `given_up` says why it is not.
    """

    processes: dict[str, Spawned] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    digest: str = ""
    wanted: bool = False
    revived: list[float] = field(default_factory=list)
    given_up: str = ""

    @property
    def is_up(self) -> bool:
        """Say whether all its processes live; whether they answer is another question."""
        return bool(self.processes) and all(map(is_alive, self.processes.values()))

    @property
    def is_down(self) -> bool:
        """Say whether it died: a person wants it, and not all of its processes live."""
        return self.wanted and not self.is_up


@dataclass(slots=True)
class StackState:
    """All servers of one home."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    servers: dict[str, ServerRecord] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def server(self, name: str) -> ServerRecord:
        """Return the record of a server; an empty one if it never ran."""
        return self.servers.setdefault(name, ServerRecord())

    def mark(self, name: str = "") -> str:
        """Return the mark in the environment of a server's processes; without a name, of all."""
        return f"{self.token}/{name}"

    def taken_ports(self, *, but: str) -> set[int]:
        """Return the ports that other servers have, or had and will want again."""
        return {
            port
            for name, record in self.servers.items()
            if name != but
            for port in record.ports.values()
        }


class StateFile:
    """
    `stack.json` of one home: read once, written whole at each change.

    Several threads may start servers at once; only one process may hold it (see stack.py's lock).
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.path = home / "stack.json"
        self._lock = threading.RLock()
        self.state = _read(self.path)

    def change(self, act: Callable[[StackState], None]) -> None:
        """Change the state and write it down."""
        with self._lock:
            act(self.state)
            self.save()

    def secret(self, name: str) -> str:
        """The secret of this name: 64 characters, generated at its first use and then kept."""
        with self._lock:
            if name not in self.state.secrets:
                self.state.secrets[name] = secrets.token_urlsafe(_SECRET_BYTES)
                self.save()
            return self.state.secrets[name]

    def save(self) -> None:
        """Write the state down: a reader sees the old one or the new one."""
        with self._lock:
            write_private(self.path, json.dumps(asdict(self.state), indent=2))


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(text)
    draft.replace(path)


def _read(path: Path) -> StackState:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return StackState()
    except (OSError, ValueError) as error:
        raise _unreadable(path) from error
    try:
        return _parsed(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _unreadable(path) from error


def _parsed(content: Mapping[str, object]) -> StackState:
    state = StackState(**content)  # type: ignore[arg-type]
    records: Mapping[str, Any] = state.servers
    state.servers = {name: _record(record) for name, record in records.items()}
    return state


def _record(content: Mapping[str, Any]) -> ServerRecord:
    """Read a record; an old one, without `wanted`, is wanted if it had processes."""
    spawned = {key: Spawned(**one) for key, one in content["processes"].items()}
    return ServerRecord(
        spawned,
        dict(content["ports"]),
        str(content["digest"]),
        wanted=bool(content.get("wanted", spawned)),
        revived=[float(moment) for moment in content.get("revived", [])],
        given_up=str(content.get("given_up", "")),
    )


def _unreadable(path: Path) -> StackError:
    msg = f"{path} cannot be read"
    return StackError(
        msg, remedy="Delete it: the next start makes a new one (processes that it named stay)"
    )
