"""A folder of our own on a server, for trying things out, and gone without a trace afterwards."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Self

from frameferry.errors import FrameferryError
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.folders import levels
from frameferry.ftp.replies import Reply

_CLEANING_TRIES = 2
_BURST = 100


class Sandbox:
    """
    One connection and one folder that nothing leaves. Use it as a context manager.

    Args:
        open_connection: Opens one connection and logs in. Called again if the connection is lost or
            out of step, and for a second one.
        base: Where the folder is made; levels of it that are missing are made, and removed again.
        tag: Names the folder; nobody else uses it.
    """

    def __init__(self, open_connection: Callable[[], FerryFTP], base: str, tag: str) -> None:
        self._open_connection = open_connection
        self.folder = f"{base.rstrip('/')}/frameferry-probe-{tag}"
        self.left: tuple[str, ...] = ()
        self._files: set[str] = set()
        self._folders: list[str] = []
        self._crowd: list[str] = []
        self._opened: list[FerryFTP] = []

    def __enter__(self) -> Self:
        """
        Log in.

        Raises:
            FtpUnavailable, LoginRefused, DeliveryRefused: As for `connect`.
        """
        _ = self.ftp
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Delete all that was made, whatever happened; `left` names what could not be."""
        for _ in range(_CLEANING_TRIES):
            try:
                self.left = tuple(self._clean())
                break
            except FrameferryError:
                self.left = (*sorted(self._files), *reversed(self._folders))
        for ftp in self._opened:
            ftp.farewell()

    @property
    def ftp(self) -> FerryFTP:
        """The connection; another one if it was lost."""
        if not self._opened or not self._opened[0].is_in_step:
            self._opened.insert(0, self.another())
        return self._opened[0]

    def another(self) -> FerryFTP:
        """Open one more connection, confined as the first; whoever asks for it closes it."""
        ftp = self._open_connection()
        ftp.confine(self.folder)
        return ftp

    def make_folder(self) -> Reply:
        """
        Make the folder, and those above it that are missing; return the reply that decides.

        Raises:
            FtpUnavailable: Cut off.
        """
        above = levels(self.folder)[:-1]
        for level in (level for level in above if not self.ftp.ask("CWD", level).is_success):
            self._make(level)
        return self._make(self.folder)

    def _make(self, folder: str) -> Reply:
        reply = self.ftp.ask("MKD", folder)
        if reply.is_success:
            self._folders.append(folder)
        return reply

    def make_crowd(self, most: int, *, seconds: float) -> list[str]:
        """
        Make up to *most* empty folders within the folder, within *seconds*; return their names.

        Raises:
            FtpUnavailable: Cut off.
        """
        ends = monotonic() + seconds
        made: list[str] = []
        while len(made) < most and monotonic() < ends:
            names = [f"crowd-{len(made) + at}" for at in range(min(_BURST, most - len(made)))]
            self._crowd += [f"{self.folder}/{name}" for name in names]
            replies = self.ftp.burst([f"MKD {self.folder}/{name}" for name in names])
            stand = [name for name, reply in zip(names, replies, strict=True) if reply.is_success]
            made += stand
            if len(stand) < len(names):
                break
        return made

    def path(self, name: str) -> str:
        """Return a path in the folder; whatever comes to lie there is deleted in the end."""
        path = f"{self.folder}/{name}"
        self._files.add(path)
        return path

    def store(self, name: str, data: bytes) -> Reply:
        """
        Upload a file into the folder.

        Raises:
            FtpUnavailable: Cut off or timed out.
        """
        return self.ftp.store(self.path(name), data)

    def _clean(self) -> list[str]:
        if not self._folders:
            return []
        ftp = self.ftp
        self._say_in_bursts([f"DELE {path}" for path in sorted(self._files)])
        self._say_in_bursts([f"RMD {path}" for path in self._crowd])
        left = []
        for folder in reversed(self._folders):
            # The confinement ends at the sandbox itself; the others were missing above it.
            ftp.confine(folder)
            if not ftp.ask("RMD", folder).is_success:
                left.append(folder)
        return left

    def _say_in_bursts(self, lines: list[str]) -> None:
        for start in range(0, len(lines), _BURST):
            list(self.ftp.burst(lines[start : start + _BURST]))
