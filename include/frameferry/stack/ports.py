"""Free ports on loopback, kept from the last run where they are still free."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterable, Mapping

from frameferry.errors import StackError

LOOPBACK = "127.0.0.1"
# Below the ranges from which systems take ports for outgoing connections: a port that is kept
# while its server is down would be lost to one of those.
_LOWEST = 20_000
_HIGHEST = 32_000
_TRIES = 1000


def is_free(port: int, *, host: str = LOOPBACK) -> bool:
    """Say whether a server could listen on this port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def answers(port: int, *, host: str = LOOPBACK) -> bool:
    """Say whether something accepts connections on this port, within half a second."""
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False


def choose(
    names: Iterable[str], kept: Mapping[str, int], *, taken: Iterable[int] = ()
) -> dict[str, int]:
    """
    Choose a free port for each name: the kept one if it still is free, else another.

    Args:
        taken: Ports that somebody else of this stack has, though perhaps not yet in use.

    Raises:
        StackError: Nothing is free.
    """
    used = set(taken)
    chosen: dict[str, int] = {}
    for name in names:
        port = kept.get(name, 0)
        chosen[name] = port if port and port not in used and is_free(port) else _draw(used, 1)
        used.add(chosen[name])
    return chosen


def choose_block(count: int, kept_first: int | None, *, taken: Iterable[int] = ()) -> range:
    """
    Choose *count* neighbouring free ports, beginning at *kept_first* if those still are free.

    Raises:
        StackError: Nothing is free.
    """
    used = set(taken)
    if kept_first and _are_free(range(kept_first, kept_first + count), used):
        return range(kept_first, kept_first + count)
    first = _draw(used, count)
    return range(first, first + count)


def _draw(used: set[int], count: int) -> int:
    for _ in range(_TRIES):
        first = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST - count)
        if _are_free(range(first, first + count), used):
            return first
    msg = f"no free port between {_LOWEST} and {_HIGHEST}"
    raise StackError(msg, remedy="End what listens there")


def _are_free(ports: range, used: set[int]) -> bool:
    return used.isdisjoint(ports) and all(map(is_free, ports))
