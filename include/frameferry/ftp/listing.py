"""
List what lies below a folder, by MLSD, or by LIST if the server has only that.

A list may end early, with or without a word, hide names, or hold lines that nobody can read. So
nothing is concluded from a name that it does not show. `Listing.flaw` says what speaks against it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from frameferry.errors import DeliveryRefused, FtpUnavailable, UnsafePath
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.replies import Reply, raise_unless_absent
from frameferry.ftp.transfers import Lines

MAX_DEPTH: Final = 12
"""Folders below the base: more than any name has, and an end to loops of links."""
_ROUND: Final = frozenset(
    [figure * 10**power for power in range(2, 7) for figure in range(1, 10)]
    + [figure * 10**power for power in range(1, 6) for figure in (15, 25)]
    + [2**power for power in range(7, 20)]
)
"""Numbers at which a server may end a list without a word, and chance seldom does."""
_DOTS: Final = frozenset({".", ".."})
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


Entry = tuple[str, int | None]
"""A name in a folder, and its size in bytes; None for a folder."""


class Flaw(NamedTuple):
    """
    Why a folder may hold more than its list shows.

    `is_sure` unless it is a suspicion only: the list ends where many lists are cut.
    """

    words: str
    is_sure: bool = True


OnFlaw = Callable[[str, Flaw], None]
Entries = Generator[Entry, None, Flaw | None]
"""The entries of a folder as they come, and what speaks for there being more."""


@dataclass(frozen=True, slots=True)
class Listing:
    """
    What a server shows of one folder: names with sizes, None for a folder.

    `flaw` says why there may be more; empty if nothing speaks for it, which proves nothing.
    """

    entries: list[Entry]
    flaw: str = ""


def list_tree(
    ftp: FerryFTP, base: str, *, on_flaw: OnFlaw = lambda *_: None
) -> Iterator[RemoteFile]:
    """
    Yield every file at or below *base*, hidden ones too, folder by folder; links are not followed.

    Files are yielded as they come, so that a folder may hold millions: meanwhile nothing else can
    be asked on this connection. *on_flaw* is told each folder that may hold more, and why: its list
    ends early or, below the base, there is none.

    Raises:
        FtpUnavailable: Cut off, or the base is not there: perhaps only its volume is not mounted.
        DeliveryRefused: The server does not list, or in a form that nobody can read.
    """
    if not ftp.ask("CWD", base).is_success:
        msg = f"the base folder {base} is not there"
        remedy = "See that the server's volume is mounted; if nothing was ever delivered, make it"
        raise FtpUnavailable(msg, remedy=remedy)
    yield from _below(ftp, base, MAX_DEPTH, on_flaw)


def list_files(
    ftp: FerryFTP, folder: str, *, on_flaw: OnFlaw
) -> Generator[RemoteFile, None, list[str]]:
    """
    Yield the files of one folder as they come, hidden ones too; return the folders in it.

    Raises:
        As `read_folder`.
    """
    folders: list[str] = []
    entries = stream_folder(ftp, folder)
    while True:
        try:
            name, size = next(entries)
        except StopIteration as end:
            if end.value is not None:
                on_flaw(folder, end.value)
            return folders
        path = f"{folder.rstrip('/')}/{name}"
        if size is None:
            folders.append(path)
        else:
            yield RemoteFile(path, size)


def read_sha256(ftp: FerryFTP, path: str) -> str | None:
    """
    Read a file back and digest it; None if it is gone meanwhile.

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


def _below(ftp: FerryFTP, folder: str, depth: int, on_flaw: OnFlaw) -> Iterator[RemoteFile]:
    try:
        folders = yield from list_files(ftp, folder, on_flaw=on_flaw)
    except (DeliveryRefused, UnsafePath) as refusal:
        if depth == MAX_DEPTH:
            raise
        return on_flaw(folder, Flaw(refusal.what))
    if folders and not depth:
        return on_flaw(folder, Flaw(f"it holds folders more than {MAX_DEPTH} levels down"))
    for path in folders:
        yield from _below(ftp, path, depth - 1, on_flaw)
    return None


def list_folder(ftp: FerryFTP, folder: str) -> list[Entry]:
    """
    List one folder as far as the server shows it: names with sizes, None for a folder.

    Raises:
        As `read_folder`.
    """
    return read_folder(ftp, folder).entries


def read_folder(ftp: FerryFTP, folder: str) -> Listing:
    """
    List one folder, hidden names too, and say why there may be more.

    Raises:
        FtpUnavailable: Cut off, or refused for now.
        DeliveryRefused: The server does not list it, or in a form that nobody can read.
    """
    entries, flaw = _drawn(stream_folder(ftp, folder))
    return Listing(entries, flaw.words if flaw else "")


def stream_folder(ftp: FerryFTP, folder: str) -> Entries:
    """
    List one folder as `read_folder` does, each entry as it comes.

    Until the end, nothing else can be asked on this connection.

    Raises:
        As `read_folder`.
    """
    if "MLST" in ftp.features or "MLSD" in ftp.features:
        lines = ftp.list_lines(f"MLSD {folder}")
        if not isinstance(lines, Reply):
            with suppress(DeliveryRefused):
                return (yield from _read(lines, _by_facts))
        elif not lines.is_unknown_command:
            raise _unlisted(folder, lines)
    return (yield from _by_list(ftp, folder))


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


def _drawn(entries: Entries) -> tuple[list[Entry], Flaw | None]:
    """Draw a generator to its end; return what it yielded, and what it returned."""
    drawn = []
    while True:
        try:
            drawn.append(next(entries))
        except StopIteration as end:
            return drawn, end.value


def _read(lines: Lines, entry_of: Callable[[str], Entry | None]) -> Entries:
    """
    Read each line that can be read; one that cannot may be a name with a newline in it.

    Raises:
        DeliveryRefused: Not one can be read; nothing was yielded.
    """
    full, shown, strange = 0, 0, 0
    first: DeliveryRefused | None = None
    while True:
        try:
            line = next(lines)
        except StopIteration as stop:
            end: Reply = stop.value
            break
        if not line:
            continue
        full += 1
        try:
            entry = entry_of(line)
        except DeliveryRefused as refusal:
            strange, first = strange + 1, first or refusal
            continue
        if entry is not None and entry[0] not in _DOTS:
            shown += 1
            yield entry
    if first is not None and strange == full:
        raise first
    return _flaw(end, full, shown, strange)


def _flaw(end: Reply, lines: int, entries: int, strange: int) -> Flaw | None:
    if end.speaks_of_cut:
        return Flaw(f"the server said {end.words!r}")
    if strange:
        return Flaw(f"{strange} lines of its list cannot be read")
    counts = {lines, lines - 1, entries, entries + len(_DOTS)}
    if _ROUND & counts:
        words = f"its list ends at exactly {max(_ROUND & counts):,} names, perhaps a limit"
        return Flaw(words, is_sure=False)
    return None


def _by_facts(line: str) -> Entry | None:
    facts, _, name = line.partition(" ")
    known = dict(fact.lower().split("=", 1) for fact in facts.split(";") if "=" in fact)
    match known.get("type"):
        case "file" if known.get("size", "").isdecimal():
            return name, int(known["size"])
        case "dir":
            return name, None
        case None | "file":
            raise _unreadable(line)
        case _:
            return None


def _by_list(ftp: FerryFTP, folder: str) -> Entries:
    """List by LIST from within the folder, so that no space or dash in its name makes an option."""
    entered = ftp.ask("CWD", folder)
    if not entered.is_success:
        raise _unlisted(folder, entered)
    lines = ftp.list_lines("LIST -a")
    if isinstance(lines, Reply):
        raise _unlisted(folder, lines)
    return (yield from _read(lines, _by_columns))


def _by_columns(line: str) -> Entry | None:
    if line.startswith(("l", "total ")):
        return None
    if (unix := _UNIX.fullmatch(line)) is not None:
        return unix["name"], None if unix["kind"] == "d" else int(unix["size"])
    if (dos := _DOS.fullmatch(line)) is not None:
        return dos["name"], None if dos["folder"] else int(dos["size"])
    raise _unreadable(line)


def _unreadable(line: str) -> DeliveryRefused:
    msg = f"the server's list of files cannot be read: {line[:100]!r}"
    return DeliveryRefused(msg, remedy="A server with MLSD can be read")


def _unlisted(folder: str, reply: Reply) -> FtpUnavailable | DeliveryRefused:
    msg = f"the server does not list {folder}: it said {reply.words!r}"
    if reply.is_refusal:
        return DeliveryRefused(msg, remedy="Give the account the right to list its folders")
    return FtpUnavailable(msg)
