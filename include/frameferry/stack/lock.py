"""Allow one start or stop of a home's servers at a time, over all processes."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from frameferry.config.home import home
from frameferry.errors import StackError
from frameferry.stack.state import StateFile

_LOCK_SECONDS = 300
_POLL_SECONDS = 0.2


@contextmanager
def locked() -> Iterator[StateFile]:
    """
    Lock the home against another start or stop, then read its state.

    Raises:
        StackError: Another start or stop does not end.
    """
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "stack.lock").open("w") as lock:
        _take(lock.fileno(), home())
        yield StateFile(home())


def _take(descriptor: int, where: Path) -> None:
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline:
                msg = f"another start or stop of {where} does not end"
                raise StackError(msg, remedy="Wait for it, or end it") from error
            time.sleep(_POLL_SECONDS)
        else:
            return
