"""Take deep pipelining back from a server that turns out not to bear it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frameferry.delivery.client import FerryFTP
from frameferry.errors import FtpUnavailable

FAILURES = 3
"""So many uploads in a row have to fail: one alone may be any trouble."""


class Caution:
    """What the uploads of one delivery taught about deep pipelining. For several threads."""

    def __init__(self) -> None:
        self._failures = 0

    @contextmanager
    def over(self, ftp: FerryFTP) -> Iterator[None]:
        """Make one upload, on a connection that is deep only where that has not failed so far."""
        if ftp.depth == "deep" and self._failures >= FAILURES:
            ftp.depth = "safe"
        is_deep = ftp.depth == "deep"
        try:
            yield
        except FtpUnavailable:
            self._failures += is_deep
            raise
        if is_deep:
            self._failures = 0
