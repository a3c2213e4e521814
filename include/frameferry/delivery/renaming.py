"""
Renames in bursts, and what became of those whose replies were lost.

A part is a single-use token: it is there until its rename happened, and gone afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from posixpath import dirname
from typing import Literal, NoReturn

from frameferry.domain.records import Intent, Receipt, Refusal
from frameferry.errors import DeliveryRefused, FtpUnavailable
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.measuring import is_gone, measure
from frameferry.ftp.replies import Reply

After = Literal["kept", "taken"]


@dataclass(frozen=True, slots=True)
class Staged:
    """A whole, verified part that is not under its final name yet; `sidecar` goes before it."""

    record_id: int
    part_path: str
    remote_path: str
    how: str
    sidecar: Staged | None = None

    @property
    def parts(self) -> tuple[str, ...]:
        """The paths of its parts, the sidecar's too."""
        return (self.part_path,) if self.sidecar is None else (*self.sidecar.parts, self.part_path)


@dataclass(frozen=True, slots=True)
class Resend:
    """A record that has to be sent again. `leftover` is a damaged part of it, if there is one."""

    record_id: int
    leftover: str | None = None


@dataclass(slots=True)
class RenameGroup:
    """
    The renames of one burst: what is left of them, over all its tries.

    *base* and *after* tell what a file that is nowhere means, as for `outcome_of`.
    """

    todo: list[Staged]
    base: str
    after: After
    receipts: list[Receipt] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    is_in_doubt: bool = False

    def rename(self, ftp: FerryFTP) -> list[tuple[Staged, Reply]]:
        """
        Rename all that is left, in one burst, after settling what an earlier try left in doubt.

        Returns:
            Those that the server refused, each with the reply that says so.

        Raises:
            FtpUnavailable: Cut off; the next call settles what is in doubt.
            DeliveryRefused: The server says that it renamed, and did not, or mixed names up;
                what it put under a wrong name is taken away again.
        """
        if self.is_in_doubt:
            self._settle_doubts(ftp)
        items = list(self.todo)
        self.is_in_doubt = True
        refused = self._burst(ftp, items)
        self.is_in_doubt = False
        if items and not refused:
            _distrust(ftp, items[0])
        return refused

    def vanished(self, ftp: FerryFTP, item: Staged) -> None:
        """
        Settle a part that is gone without word of its rename, by its final file.

        Raises:
            FtpUnavailable: The final file is not there either. The next attempt settles it, from
                what the ledger knows then: another one may have had it.
        """
        if measure(ftp, item.remote_path) is None:
            msg = f"the part of {item.remote_path} is gone before its rename"
            raise FtpUnavailable(msg, remedy="The next attempt settles it")
        self.done(item)

    def refuse(self, item: Staged, refusal: Refusal) -> None:
        """Take an item out as the server's permanent no to one record."""
        self.refused.append(refusal)
        self.todo.remove(item)

    def done(self, item: Staged) -> None:
        """Note a rename that has happened."""
        self.receipts.append(Receipt(item.record_id, item.how))
        self.todo.remove(item)

    def _burst(self, ftp: FerryFTP, items: Sequence[Staged]) -> list[tuple[Staged, Reply]]:
        pairs = [(f"RNFR {item.part_path}", f"RNTO {item.remote_path}") for item in items]
        replies = ftp.burst([line for pair in pairs for line in pair])
        refused, mixed_up = [], []
        for item in items:
            source, target = next(replies), next(replies)
            if not source.is_wanting:
                refused.append((item, source))
                mixed_up += [item] if target.is_success else []
            elif target.is_success:
                self.done(item)
            else:
                refused.append((item, target))
        if mixed_up:
            _take_away(ftp, mixed_up)
        return refused

    def _settle_doubts(self, ftp: FerryFTP) -> None:
        for item in list(self.todo):
            if not is_gone(ftp, item.part_path):
                continue
            is_there = measure(ftp, item.remote_path) is not None
            if not is_there and not _was_taken(ftp, item, base=self.base, after=self.after):
                msg = f"neither {item.remote_path} nor its part is there after a broken connection"
                raise FtpUnavailable(msg, remedy="The next attempt settles it")
            self.done(item)


def outcome_of(
    ftp: FerryFTP, intent: Intent, *, base: str, after: After
) -> Staged | Receipt | Resend:
    """
    Find out what became of an open intent, by its part, never by the final file's length alone.

    Returns:
        Staged if a whole part waits for its rename, a receipt if that has happened.

    Raises:
        FtpUnavailable: No clear answer; nothing is concluded from silence.
    """
    if intent.is_unseen:
        return _outcome_by_name(ftp, intent)
    part = measure(ftp, intent.part_path)
    if part is not None:
        if part.flaw(intent.size_bytes, intent.sha256):
            return Resend(intent.record_id, intent.part_path)
        return Staged(intent.record_id, intent.part_path, intent.remote_path, part.how)
    if not is_gone(ftp, intent.part_path):
        msg = f"the part {intent.part_path} comes and goes"
        raise FtpUnavailable(msg)
    final = measure(ftp, intent.remote_path)
    if final is not None and not final.flaw(intent.size_bytes, intent.sha256):
        return Receipt(intent.record_id, final.how)
    if _was_taken(ftp, intent, base=base, after=after):
        return Receipt(intent.record_id, "size")
    return Resend(intent.record_id)


def _outcome_by_name(ftp: FerryFTP, intent: Intent) -> Receipt | Resend:
    """Look for a file that no list showed: there was never a part that could tell of it."""
    final = measure(ftp, intent.remote_path)
    if final is not None and not final.flaw(intent.size_bytes, intent.sha256):
        return Receipt(intent.record_id, final.how)
    return Resend(intent.record_id)


def _was_taken(ftp: FerryFTP, item: Staged | Intent, *, base: str, after: After) -> bool:
    """
    Say whether a consumer took a file after delivery, if it and its part are nowhere.

    Whoever took its whole folder may have taken the part in it: better twice than never.

    Raises:
        FtpUnavailable: The base is not there: perhaps only its volume is not mounted.
    """
    if after == "kept":
        return False
    if not ftp.ask("CWD", base).is_success:
        msg = f"the base folder {base} is not there"
        raise FtpUnavailable(msg, remedy="See that the server's volume is mounted")
    return ftp.ask("CWD", dirname(item.remote_path)).is_success


def _distrust(ftp: FerryFTP, item: Staged) -> None:
    """Check once a burst that 250 meant a rename: there are servers that do nothing."""
    if measure(ftp, item.part_path) is not None:
        msg = f"the server said that it renamed {item.part_path}, but it is still there"
        raise DeliveryRefused(msg, remedy="Deliver to a server that can rename")


def _take_away(ftp: FerryFTP, items: Sequence[Staged]) -> NoReturn:
    """
    Stop if renames went through although their sources were refused: other files have the names.

    A server that never got the second half of a rename may still hold its first half.

    Raises:
        DeliveryRefused: Always.
    """
    names = [item.remote_path for item in items]
    deleted = [reply.is_success for reply in ftp.burst([f"DELE {name}" for name in names])]
    msg = f"the server renamed another file to {names[0]}" + (
        "; it was deleted again" if all(deleted) else ""
    )
    raise DeliveryRefused(
        msg,
        remedy="See what drops commands between us and the server, or set the connection's "
        "extra pipelining to off",
    )
