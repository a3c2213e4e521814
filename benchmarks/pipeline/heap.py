"""
Ask a running JVM for its live heap, as `jcmd` does, which no JRE holds.

The JVM's side of the attach protocol is in every JRE: a file and a signal make it listen on a
socket, one command a connection (HotSpot, attachListener_posix.cpp).
"""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Final

TIMEOUT_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_BLOCK_BYTES: Final = 65536


def live_heap_bytes(pid: int) -> int:
    """Collect all garbage of a JVM of ours, and count what is left."""
    for line in reversed(ask(pid, "jcmd", "GC.class_histogram").splitlines()):
        words = line.split()
        if words[:1] == ["Total"]:
            return int(words[2])
    msg = f"the JVM {pid} gave no histogram"
    raise ValueError(msg)


def ask(pid: int, command: str, *arguments: str) -> str:
    """
    Send one command; give its answer.

    Raises:
        OSError: The JVM does not listen, or refused.
    """
    words = ["1", command, *arguments, *[""] * (3 - len(arguments))]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(TIMEOUT_SECONDS)
        door.connect(str(_door(pid)))
        door.sendall("".join(f"{word}\0" for word in words).encode())
        answer = b"".join(iter(lambda: door.recv(_BLOCK_BYTES), b"")).decode(errors="replace")
    status, _, text = answer.partition("\n")
    if status != "0":
        msg = f"the JVM {pid} refused {command}: {text}"
        raise OSError(msg)
    return text


def _door(pid: int) -> Path:
    """Find the JVM's socket, and have it made at the first time."""
    door = Path(f"/tmp/.java_pid{pid}")
    if not door.exists():
        wish = Path(f"/proc/{pid}/cwd/.attach_pid{pid}")
        wish.touch()
        os.kill(pid, signal.SIGQUIT)
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not door.exists() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        wish.unlink(missing_ok=True)
    return door
