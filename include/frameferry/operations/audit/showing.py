"""Let the server show what it holds, and say which folders it may not have shown whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from frameferry.domain.audit import AuditedRow, Kind
from frameferry.errors import DeliveryRefused, FtpUnavailable, UnsafePath
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.listing import Flaw, RemoteFile, list_files, list_tree, read_sha256
from frameferry.ftp.measuring import measure, measure_all
from frameferry.operations.audit.collecting import Collector
from frameferry.operations.audit.inventory import Inventory

_FLAWS_KEPT: Final = 10_000


class Server:
    """
    The server behind one connection, as an audit asks it.

    Args:
        ftp: Logged in, and confined to the base.
        base: The pipeline's folder.
    """

    def __init__(self, ftp: FerryFTP, base: str) -> None:
        self._ftp = ftp
        self._base = base
        self._flaws: dict[str, Flaw] = {}

    def show_all(self, inventory: Inventory) -> int:
        """
        List the base and all below it; return how many files there are.

        Raises:
            FtpUnavailable: Cut off, or the base is not there.
            DeliveryRefused: The server does not list, or in a form that nobody can read.
        """
        return inventory.add(list_tree(self._ftp, self._base, on_flaw=self._note))

    def show_wanted(self, inventory: Inventory) -> int:
        """
        List the folders that the inventory wants; return how many files there are.

        Raises:
            FtpUnavailable: As for `show_all`.
        """
        if not self._ftp.ask("CWD", self._base).is_success:
            msg = f"the base folder {self._base} is not there"
            raise FtpUnavailable(msg, remedy="See that the server's volume is mounted")
        return sum(inventory.add(self._files(folder)) for folder in inventory.wanted())

    def sizes(self, paths: Sequence[str]) -> dict[str, int | None]:
        """
        Ask for files by name: their sizes, None for one that is gone; left out if that is unclear.

        Raises:
            FtpUnavailable: Cut off.
        """
        found = measure_all(self._ftp, paths)
        return {path: None if one is None else one.size_bytes for path, one in found.items()}

    def keep_alive(self) -> None:
        """
        Ask for a word if the server has not been heard for long: it may end idle connections.

        Raises:
            FtpUnavailable: The connection has ended.
        """
        if self._ftp.is_stale():
            msg = "the server ended the connection while the ledger was read"
            raise FtpUnavailable(msg, remedy="Audit again")

    def read_back(self, rows: Sequence[AuditedRow], found: Collector) -> None:
        """
        Read files back, and compare their sha256 with what was delivered.

        Raises:
            FtpUnavailable: Cut off.
        """
        for row in rows:
            digest = self._digest(row.path)
            if digest is None and measure(self._ftp, row.path) is None:
                found.add_file(Kind.missing, row, row.path)
            elif digest is None:
                found.add(Kind.unread, path=row.path, place=row.place)
            elif digest != row.sha256:
                detail = f"sha256 {digest} there, {row.sha256} delivered"
                found.add_file(Kind.wrong_hash, row, row.path, detail)

    def _digest(self, path: str) -> str | None:
        """Read a file back; None if the server does not give it."""
        try:
            return read_sha256(self._ftp, path)
        except FtpUnavailable:
            if not self._ftp.is_in_step:
                raise
            return None

    def tell_flaws(self, hidden: Mapping[str, int], found: Collector) -> None:
        """
        Tell which folders the server has not shown whole.

        A suspicion counts only if something was there that the list did not show.
        """
        told = {folder: flaw for folder, flaw in self._flaws.items() if flaw.is_sure}
        for folder, number in Counter(hidden).items():
            if number:
                words = f"{number:,} files are there that its list does not show"
                flaw = self._flaws.get(folder)
                told[folder] = Flaw(f"{flaw.words}; {words}" if flaw else words)
        for folder, flaw in sorted(told.items()):
            found.add(Kind.not_judged, path=folder, detail=flaw.words)

    def _files(self, folder: str) -> Iterator[RemoteFile]:
        try:
            yield from list_files(self._ftp, folder, on_flaw=self._note)
        except (DeliveryRefused, UnsafePath) as refusal:
            # Of a folder that is gone nothing can be hidden.
            if self._ftp.ask("CWD", folder).is_success:
                self._note(folder, Flaw(refusal.what))

    def _note(self, folder: str, flaw: Flaw) -> None:
        if len(self._flaws) < _FLAWS_KEPT:
            self._flaws[folder] = flaw
