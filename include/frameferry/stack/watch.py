"""`python -m frameferry.stack.watch`: start again whichever server of the home dies."""

from __future__ import annotations

import sys
import time

import structlog

from frameferry.config.home import home
from frameferry.errors import StackError
from frameferry.stack import stack
from frameferry.stack.state import StateFile

_POLL_SECONDS = 1.0

log = structlog.get_logger(__name__)


def main() -> int:
    """Look once a second, until no server is wanted any more or the home is gone."""
    try:
        while _wanted():
            for name in _fallen():
                _tend(name)
            time.sleep(_POLL_SECONDS)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _wanted() -> bool:
    return any(record.wanted for record in StateFile(home()).state.servers.values())


def _fallen() -> list[str]:
    """List the servers that died, in the order in which they need each other."""
    records = StateFile(home()).state.servers
    return [
        name
        for name in stack.SERVERS
        if name in records and records[name].is_down and not records[name].given_up
    ]


def _tend(name: str) -> None:
    try:
        stack.revive(name)
    except (StackError, OSError) as error:
        # A full disk, or a server that does not stay up, must not end the watch over the others.
        log.warning("watcher.failed", server=name, error=str(error))


if __name__ == "__main__":
    sys.exit(main())
