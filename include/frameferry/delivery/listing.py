"""List what lies below a folder, by MLSD, or by LIST where a server has only that."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from frameferry.delivery.client import FerryFTP
from frameferry.delivery.parts import PART_SUFFIX
from frameferry.delivery.replies import Reply, raise_unless_absent
from frameferry.errors import DeliveryRefused, FtpUnavailable

MAX_DEPTH: Final = 12
"""Folders below the base: more than any name has, and an end to loops of links."""
_UNIX: Final = re.compile(
    r"(?P<kind>[-d])[-\w+.@]{9,11}\s+\d+\s+\S+(?:\s+\S+)?\s+(?P<size>\d+)\s+"
    r"\w{3}\s+\d{1,2}\s+(?:\d{4}|\d{1,2}:\d{2}) (?P<name>.+)"
)
_DOS: Final = re.compile(
    r"\d{2}-\d{2}-\d{2,4}\s+\d{1,2}:\d{2}\s*[AP]M\s+(?:(?P<folder><DIR>)|(?P<size>\d+))\s+"
    r"(?P<name>.+)"
)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file on the server, by its full path."""

    path: str
    size_bytes: int

    @property
    def is_part(self) -> bool:
        """Say whether it is on its way and not yet under a final name."""
        return self.path.endswith(PART_SUFFIX)


def list_tree(ftp: FerryFTP, base: str) -> Iterator[RemoteFile]:
    """
    Yield every file at or below *base*, hidden ones too, folder by folder; links are not followed.

    Raises:
        FtpUnavailable: Cut off, or the base is not there: perhaps only its volume is not mounted.
        DeliveryRefused: The server does not list, or in a form that nobody can read.
    """
    if not ftp.ask("CWD", base).is_success:
        msg = f"the base folder {base} is not there"
        remedy = "See that the server's volume is mounted; if nothing was ever delivered, make it"
        raise FtpUnavailable(msg, remedy=remedy)
    yield from _below(ftp, base, MAX_DEPTH)


def read_sha256(ftp: FerryFTP, path: str) -> str | None:
    """
    Read a file back and digest it; None where it is gone meanwhile.

    Raises:
        FtpUnavailable: Cut off.
    """
    pieces = ftp.fetch(path)
    if isinstance(pieces, Reply):
        raise_unless_absent("RETR", pieces)
        return None
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _below(ftp: FerryFTP, folder: str, depth: int) -> Iterator[RemoteFile]:
    folders = []
    for name, size in list_folder(ftp, folder):
        path = f"{folder.rstrip('/')}/{name}"
        if size is None:
            folders.append(path)
        else:
            yield RemoteFile(path, size)
    if depth:
        for path in folders:
            yield from _below(ftp, path, depth - 1)


def list_folder(ftp: FerryFTP, folder: str) -> list[tuple[str, int | None]]:
    """
    List one folder, hidden names too: names with sizes, None for a folder.

    Raises:
        FtpUnavailable: Cut off, or refused for now.
        DeliveryRefused: The server does not list it, or in a form that nobody can read.
    """
    if "MLST" in ftp.features or "MLSD" in ftp.features:
        lines = ftp.list_lines(f"MLSD {folder}")
        if not isinstance(lines, Reply):
            return [entry for line in lines if (entry := _by_facts(line)) is not None]
        if not lines.is_unknown_command:
            raise _unlisted(folder, lines)
    return _by_list(ftp, folder)


def shown_names(ftp: FerryFTP, folder: str) -> frozenset[str]:
    """
    List the names that a plain listing shows, as a consumer sees them.

    Raises:
        FtpUnavailable: Cut off, or refused for now.
        DeliveryRefused: The server does not list it.
    """
    entered = ftp.ask("CWD", folder)
    lines = ftp.list_lines("NLST") if entered.is_success else entered
    if isinstance(lines, Reply):
        raise _unlisted(folder, lines)
    return frozenset(line.rpartition("/")[2] for line in lines if line)


def _by_facts(line: str) -> tuple[str, int | None] | None:
    facts, _, name = line.partition(" ")
    known = dict(fact.lower().split("=", 1) for fact in facts.split(";") if "=" in fact)
    match known.get("type"):
        case "file" if known.get("size", "").isdecimal():
            return name, int(known["size"])
        case "dir":
            return name, None
        case _:
            return None


def _by_list(ftp: FerryFTP, folder: str) -> list[tuple[str, int | None]]:
    """List by LIST, from within the folder: a name with a space or a dash is no option then."""
    entered = ftp.ask("CWD", folder)
    if not entered.is_success:
        raise _unlisted(folder, entered)
    lines = ftp.list_lines("LIST -a")
    if isinstance(lines, Reply):
        raise _unlisted(folder, lines)
    entries = [_by_columns(line) for line in lines if line and not line.startswith("total ")]
    return [(name, size) for name, size in entries if name not in {"", ".", ".."}]


def _by_columns(line: str) -> tuple[str, int | None]:
    if line.startswith("l"):
        return "", None
    if (unix := _UNIX.fullmatch(line)) is not None:
        return unix["name"], None if unix["kind"] == "d" else int(unix["size"])
    if (dos := _DOS.fullmatch(line)) is not None:
        return dos["name"], None if dos["folder"] else int(dos["size"])
    msg = f"the server's list of files cannot be read: {line[:100]!r}"
    raise DeliveryRefused(msg, remedy="A server with MLSD can be read")


def _unlisted(folder: str, reply: Reply) -> FtpUnavailable | DeliveryRefused:
    msg = f"the server does not list {folder}: it said {reply.words!r}"
    if reply.is_refusal:
        return DeliveryRefused(msg, remedy="Give the account the right to list its folders")
    return FtpUnavailable(msg)
