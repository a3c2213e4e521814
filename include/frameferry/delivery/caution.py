"""Stop doing what a server, or what stands before it, cannot bear. For several threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from frameferry.errors import FtpUnavailable
from frameferry.ftp.client import FerryFTP

FAILURES: Final = 3
"""So many deep uploads have to fail: one alone may be any trouble."""
_ONE_IN: Final = 4
"""One deep upload in so many has to fail, in a row or not: every second one may work."""
_REMEMBERED: Final = 64


class Caution:
    """What the uploads of one delivery taught about deep pipelining."""

    def __init__(self) -> None:
        self._failures = 0
        self._uploads = 0

    @contextmanager
    def over(self, ftp: FerryFTP) -> Iterator[None]:
        """Make one upload, on a connection that is deep only if that has not failed so far."""
        if ftp.depth == "deep" and self._is_borne_badly():
            ftp.depth = "safe"
        is_deep = ftp.depth == "deep"
        try:
            yield
        except FtpUnavailable:
            self._note(is_failure=is_deep and not ftp.missed_address, is_deep=is_deep)
            raise
        self._note(is_failure=False, is_deep=is_deep)

    def _is_borne_badly(self) -> bool:
        return self._failures >= FAILURES and self._failures * _ONE_IN >= self._uploads

    def _note(self, *, is_failure: bool, is_deep: bool) -> None:
        self._failures += is_failure
        self._uploads += is_deep
        if self._uploads > _REMEMBERED and not self._is_borne_badly():
            self._failures, self._uploads = self._failures // 2, self._uploads // 2
