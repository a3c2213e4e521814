"""`stack.json`: what runs, on which ports, and the generated secrets; for its owner's eyes only."""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from frameferry.errors import StackError
from frameferry.stack.processes import Spawned, is_alive

_PRIVATE = 0o600
# As text 64 characters: what the longest of them, a key for SHA-512, should have.
_SECRET_BYTES = 48


@dataclass(slots=True)
class ServerRecord:
    """
    One server: its processes by name, and its ports by purpose, kept while it is down.

    The digest is that of the commands that were spawned: others mean that it must start anew.
    """

    processes: dict[str, Spawned] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    digest: str = ""

    @property
    def is_up(self) -> bool:
        """Say whether all its processes live; whether they answer is another question."""
        return bool(self.processes) and all(map(is_alive, self.processes.values()))


@dataclass(slots=True)
class StackState:
    """All servers of one home."""

    token: str = field(default_factory=lambda: secrets.token_hex(8))
    servers: dict[str, ServerRecord] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict, repr=False)

    def server(self, name: str) -> ServerRecord:
        """The record of a server; an empty one where it never ran."""
        return self.servers.setdefault(name, ServerRecord())

    def mark(self, name: str = "") -> str:
        """What the processes of a server carry in their environment; without a name, of all."""
        return f"{self.token}/{name}"

    def taken_ports(self, *, but: str) -> set[int]:
        """Ports that the other servers have, or had and will want again."""
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
    except (KeyError, TypeError, AttributeError) as error:
        raise _unreadable(path) from error


def _parsed(content: Mapping[str, object]) -> StackState:
    state = StackState(**content)  # type: ignore[arg-type]
    state.servers = {
        name: ServerRecord(
            {key: Spawned(**spawned) for key, spawned in record["processes"].items()},  # type: ignore[index]
            dict(record["ports"]),  # type: ignore[index]
            str(record["digest"]),  # type: ignore[index]
        )
        for name, record in state.servers.items()
    }
    return state


def _unreadable(path: Path) -> StackError:
    msg = f"{path} cannot be read"
    return StackError(
        msg, remedy="Delete it: the next start makes a new one (processes that it named stay)"
    )
