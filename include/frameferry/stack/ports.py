"""Free ports on loopback, kept from the last run if they are still free."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterable, Mapping

from frameferry.errors import StackError

LOOPBACK = "127.0.0.1"
WELL_KNOWN = {
    "broker": 9092,
    "controller": 9093,
    "inside": 9094,
    "connect": 15002,
    "master": 7077,
    "worker": 7078,
    "control": 2121,
    "passive": 30_000,
    "api": 8080,
}
"""Ports of a server that has a machine, or a container, to itself."""
# Below the ranges from which systems take ports for outgoing connections. Otherwise a port that is
# kept while its server is down could be lost to one of those.
_LOWEST = 20_000
_HIGHEST = 32_000
_TRIES = 1000
_CLOSING_SECONDS = 3.0
_POLL_SECONDS = 0.05


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
    widths: Mapping[str, int], kept: Mapping[str, int], *, taken: Iterable[int] = ()
) -> dict[str, int]:
    """
    Choose free ports for each name: the kept ones if they are still free, otherwise others.

    Args:
        kept: The first ports that the names had in the last run.
        widths: How many neighbouring ports each name needs; the first one is returned.
        taken: Ports that others of this stack have, though perhaps not yet in use.

    Raises:
        StackError: Nothing is free.
    """
    used = set(taken)
    chosen: dict[str, int] = {}
    for name, width in widths.items():
        first = kept.get(name, 0)
        if not first or not _become_free(range(first, first + width), used):
            first = _draw(used, width)
        chosen[name] = first
        used.update(range(first, first + width))
    return chosen


def _draw(used: set[int], count: int) -> int:
    for _ in range(_TRIES):
        first = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST - count)
        if _are_free(range(first, first + count), used):
            return first
    msg = f"no free port between {_LOWEST} and {_HIGHEST}"
    raise StackError(msg, remedy="End what listens there")


def _become_free(ports: range, used: set[int]) -> bool:
    """Say whether the ports are free, or become so when a killed server's sockets close."""
    deadline = time.monotonic() + _CLOSING_SECONDS
    while not _are_free(ports, used):
        if not used.isdisjoint(ports) or time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _are_free(ports: range, used: set[int]) -> bool:
    return used.isdisjoint(ports) and all(map(is_free, ports))
