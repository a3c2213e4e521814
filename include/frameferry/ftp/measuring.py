"""Ask a server what it stored: its length, and its hash if it offers one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from frameferry.errors import DeliveryRefused, FtpUnavailable
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.replies import Reply, raise_if_transient, raise_unless_absent

_SHA256 = re.compile(r"\b[0-9a-f]{64}\b", re.IGNORECASE)
_SIZE_REPLY = re.compile(r"213 +(\d{1,18})\s*$")
_MODIFIED = re.compile(r"213 +(\d{14})(?:\.\d+)?\s*$")
_MLST_SIZE = re.compile(r"\bsize=(\d{1,18});", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Measured:
    """What a server says of a file it holds. `sha256` is None if it offers none."""

    size_bytes: int
    sha256: str | None = None

    def flaw(self, size_bytes: int, sha256: str) -> str | None:
        """Say what is wrong with the file; None if nothing is."""
        if self.size_bytes != size_bytes:
            return f"the server holds {self.size_bytes} of {size_bytes} bytes"
        if self.sha256 is not None and self.sha256 != sha256.lower():
            return "the server holds other bytes of the same length"
        return None

    @property
    def how(self) -> str:
        """Name the proof as a receipt shows it, whatever carried the bytes."""
        return "size" if self.sha256 is None else "hash:sha256"


def measure(ftp: FerryFTP, path: str) -> Measured | None:
    """
    Measure a file: SIZE, in one round trip with a hash if the server offers one.

    A server without SIZE is asked by MLST; one without either has the file read back.

    Returns:
        None if the server says that there is no such file.

    Raises:
        FtpUnavailable: Cut off, or neither a size nor a clear no.
        DeliveryRefused: The server has no way at all to say what it stored.
    """
    asked = questions(ftp, path)
    return understand(ftp, path, asked, list(ftp.burst(asked)) if asked else [])


def questions(ftp: FerryFTP, path: str) -> list[str]:
    """Word the questions that measure a file; none if it has to be read back."""
    if not ftp.size_verb:
        return []
    hash_question = [f"{ftp.hash_verb} {_hash_argument(ftp, path)}"] if ftp.hash_verb else []
    return [f"{ftp.size_verb} {path}", *hash_question]


def understand(
    ftp: FerryFTP, path: str, asked: Sequence[str], answers: Sequence[Reply]
) -> Measured | None:
    """
    Understand the answers to what `questions` asked, and ask again if they were in vain.

    Raises:
        As `measure`.
    """
    if not answers:
        return _read_back(ftp, path)
    size, *digest = answers
    verb = asked[0].partition(" ")[0]
    if size.is_unknown_command:
        ftp.unlearn_size(verb)
        return measure(ftp, path)
    if not size.is_success:
        raise_unless_absent(verb, size)
        return None
    return Measured(_size_of(size), _hash_of(ftp, digest[0]) if digest else None)


def measure_all(ftp: FerryFTP, paths: Sequence[str]) -> dict[str, Measured | None]:
    """
    Measure files with one question each, all in one burst.

    Returns:
        As `measure` by path. A path is left out if the server gives no clear answer for it now.

    Raises:
        FtpUnavailable: Cut off.
        DeliveryRefused: As `measure`.
    """
    asked = [questions(ftp, path) for path in paths]
    replies = ftp.burst([line for lines in asked for line in lines])
    answers = [[next(replies) for _ in lines] for lines in asked]
    found = {}
    for path, lines, said in zip(paths, asked, answers, strict=True):
        try:
            found[path] = understand(ftp, path, lines, said)
        except FtpUnavailable:
            if not ftp.is_in_step:
                raise
    return found


def modified_at(ftp: FerryFTP, path: str) -> datetime | None:
    """
    Ask when a file was last changed, by the server's clock, to the second.

    Returns:
        None if the server does not say.

    Raises:
        FtpUnavailable: Cut off.

    Source: RFC 3659, 3.1: the time is in UTC.
    """
    found = _MODIFIED.match(ftp.ask("MDTM", path).text)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None


def is_gone(ftp: FerryFTP, path: str) -> bool:
    """
    Say whether a file is gone: only if two different commands say so.

    Raises:
        FtpUnavailable: No clear answer.
    """
    if measure(ftp, path) is not None:
        return False
    reply = ftp.ask("RNFR", path)
    if reply.is_wanting:
        ftp.poison()
        msg = f"the server says that {path} is not there, and would rename it"
        raise FtpUnavailable(msg)
    if reply.is_success:
        return False
    raise_unless_absent("RNFR", reply)
    return True


def _hash_argument(ftp: FerryFTP, path: str) -> str:
    return f'"{path}"' if ftp.hash_verb == "XSHA256" and " " in path else path


def _size_of(reply: Reply) -> int:
    found = _SIZE_REPLY.match(reply.text) or _MLST_SIZE.search(reply.text)
    if found is None:
        msg = f"no size in the server's reply {reply.words!r}"
        raise FtpUnavailable(msg)
    return int(found[1])


def _hash_of(ftp: FerryFTP, reply: Reply) -> str | None:
    """Read a hash in any server's wording; a server that will not say is not asked again."""
    raise_if_transient(ftp.hash_verb, reply)
    found = _SHA256.search(reply.text) if reply.is_success else None
    if found is None:
        ftp.hash_verb = ""
        return None
    return found[0].lower()


def _read_back(ftp: FerryFTP, path: str) -> Measured | None:
    pieces = ftp.fetch(path)
    if isinstance(pieces, Reply):
        if pieces.is_unknown_command:
            msg = f"the server has no way to say what it stored: {pieces.words!r}"
            raise DeliveryRefused(msg, remedy="Deliver to a server with SIZE, MLST or RETR")
        raise_unless_absent("RETR", pieces)
        return None
    digest, size = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
    return Measured(size, digest.hexdigest())
