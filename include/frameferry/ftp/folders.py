"""Folders on the server: made level by level, once each."""

from __future__ import annotations

from frameferry.errors import DeliveryRefused
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.replies import raise_if_transient


class Folders:
    """Folders that are known to stand, shared by all connections of one delivery."""

    def __init__(self) -> None:
        self._known: set[str] = {"/"}

    def ensure(self, ftp: FerryFTP, folder: str) -> None:
        """
        Make a folder and all above it that are not known yet, in one burst.

        A refusal may mean "exists already" or "not allowed"; servers do not say which, and the
        upload that follows tells.

        Raises:
            FtpUnavailable: Cut off, or refused for now.
        """
        missing = [level for level in levels(folder) if level not in self._known]
        if not missing:
            return
        for reply in list(ftp.burst([f"MKD {level}" for level in missing])):
            raise_if_transient("MKD", reply)
        self._known.update(missing)

    def forget(self, folder: str) -> None:
        """Stop believing in a folder that the server says is not there."""
        self._known.difference_update(level for level in levels(folder) if level != "/")


class StandingFolders:
    """Folders that somebody else makes: none is made here, and a missing one is reported."""

    def __init__(self) -> None:
        self._known: set[str] = {"/"}

    def ensure(self, ftp: FerryFTP, folder: str) -> None:
        """
        See that a folder stands.

        Raises:
            DeliveryRefused: It is not there, or may not be entered.
            FtpUnavailable: Cut off, or refused for now.
        """
        if folder in self._known:
            return
        reply = ftp.ask("CWD", folder)
        raise_if_transient("CWD", reply)
        if not reply.is_success:
            msg = f"the folder {folder} is not there: the server said {reply.words!r}"
            raise DeliveryRefused(
                msg, remedy="Make it, or let deliver.create_folders be true, then unblock"
            )
        self._known.add(folder)

    def forget(self, folder: str) -> None:
        """Look again the next time."""
        self._known.discard(folder)


def levels(folder: str) -> list[str]:
    """List a folder and all above it, from the top, without the root."""
    parts = [part for part in folder.split("/") if part]
    return ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
