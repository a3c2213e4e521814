"""What a server must be able to do before pictures go to it, tried on the server itself."""

from __future__ import annotations

import hashlib
import random
import ssl
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass
from threading import Event, Thread
from typing import Literal

from frameferry.errors import DeliveryRefused, FrameferryError, FtpUnavailable
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.fitness.sandbox import Sandbox
from frameferry.ftp.listing import list_folder, shown_names
from frameferry.ftp.measuring import is_gone, measure
from frameferry.ftp.probing import rename
from frameferry.ftp.replies import Reply

Verdict = Literal["ok", "note", "fail"]
SMALL = random.Random(1).randbytes(20_000)  # noqa: S311 - a file's content, not a secret
OTHER = random.Random(2).randbytes(15_000)  # noqa: S311
REPLACED_TIMES = 60
"""Renames over one name while another connection looks: enough to meet a gap, over in a moment."""
_ODD_NAMES = ("도장 3라인 ü.jpg", "50%25 a+b&c'd.jpg", "n" * 251 + ".jpg")


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What one check saw.

    `fail`: pictures cannot be delivered like this. `note`: they can, and this should be known.
    `setting` is what to set because of it; empty if nothing.
    """

    check: str
    verdict: Verdict
    seen: str
    setting: str = ""


RIGHTS = frozenset({"encryption", "folders", "upload", "rename", "delete"})
"""The checks that show what an account may do: few commands, over in a moment."""


def examine(sandbox: Sandbox, only: Container[str] | None = None) -> Iterator[Finding]:
    """
    Try, one after the other, all that a delivery will ask of the server; or *only* some of it.

    A check that the server breaks off is a finding as well. Nothing is tried once a file cannot
    be stored at all.
    """
    chosen = {name: one for name, one in _CHECKS.items() if only is None or name in only}
    for name, check in chosen.items():
        try:
            finding = check(sandbox)
        except FrameferryError as error:
            finding = Finding(name, "fail", error.what, error.remedy)
        yield finding
        if finding.verdict == "fail" and name in _NEEDED_BY_ALL:
            return


def _encryption(sandbox: Sandbox) -> Finding:
    sock = sandbox.ftp.sock
    if isinstance(sock, ssl.SSLSocket):
        cipher = (sock.cipher() or ("?",))[0]
        seen = f"{sandbox.ftp.connection.tls}, {sock.version()}, {cipher}"
        if sandbox.ftp.connection.verify:
            return Finding("encryption", "ok", f"{seen}, certificate verified")
        return Finding(
            "encryption", "note", f"{seen}, certificate NOT verified", "extra: verify, ca_cert"
        )
    offered = "AUTH" in sandbox.ftp.features
    return Finding(
        "encryption",
        "note",
        "none: password and pictures travel in the clear"
        + (", though the server offers TLS" if offered else ""),
        "extra: tls=explicit" if offered else "",
    )


def _folders(sandbox: Sandbox) -> Finding:
    reply = sandbox.make_folder()
    if reply.is_success:
        return Finding("folders", "ok", f"made {sandbox.folder}")
    return Finding(
        "folders",
        "fail",
        f"cannot make {sandbox.folder}: {reply.words!r}",
        "give the account the right to make folders, or try another --folder",
    )


def _upload(sandbox: Sandbox) -> Finding:
    ftp = sandbox.ftp
    way = ftp.passive_verb if ftp.passiveserver else "active"
    reply = sandbox.store("upload.bin", SMALL)
    if not reply.is_success:
        return Finding("upload", "fail", f"{way}: {reply.words!r}", "give the right to write")
    shown = measure(sandbox.ftp, sandbox.path("upload.bin"))
    if shown is None:
        seen = f"the server said {reply.words!r} and shows no file"
        remedy = "give the right to list, which SIZE and MLST need"
        return Finding("upload", "fail", seen, remedy)
    if shown.flaw(len(SMALL), _digest(SMALL)):
        return Finding("upload", "fail", f"the server shows {shown} of {len(SMALL)} bytes")
    way = sandbox.ftp.passive_verb if ftp.passiveserver else "active"
    return Finding("upload", "ok", f"{way}; {len(SMALL)} bytes stored and shown whole")


def _verification(sandbox: Sandbox) -> Finding:
    ftp = sandbox.ftp
    shown = measure(ftp, sandbox.path("upload.bin"))
    how = "read back" if not ftp.size_verb else ftp.size_verb
    if shown is not None and shown.sha256 is not None and ftp.size_verb:
        return Finding("verification", "ok", f"{how} and {ftp.hash_verb} with SHA-256")
    if not ftp.size_verb:
        return Finding("verification", "note", "no SIZE, no MLST: every file is read back, slowly")
    return Finding("verification", "ok", f"{how}; no hash offered, so receipts say `size`")


def _empty_file(sandbox: Sandbox) -> Finding:
    reply = sandbox.store("empty.bin", b"")
    shown = measure(sandbox.ftp, sandbox.path("empty.bin")) if reply.is_success else None
    if shown is not None and shown.size_bytes == 0:
        return Finding("empty file", "ok", "stored")
    return Finding("empty file", "note", reply.words, "deliver.empty: quarantine")


def _rename(sandbox: Sandbox) -> Finding:
    _stored(sandbox, "one.part", SMALL)
    reply = rename(sandbox.ftp, sandbox.path("one.part"), sandbox.path("final.bin"))
    if not reply.is_success:
        return Finding("rename", "fail", reply.words, "give the right to rename")
    if not is_gone(sandbox.ftp, sandbox.path("one.part")):
        return Finding("rename", "fail", f"says {reply.words!r}, and does nothing")
    return Finding("rename", "ok", "to a free name")


def _replace(sandbox: Sandbox) -> Finding:
    _stored(sandbox, "two.part", OTHER)
    reply = rename(sandbox.ftp, sandbox.path("two.part"), sandbox.path("final.bin"))
    shown = measure(sandbox.ftp, sandbox.path("final.bin"))
    if reply.is_success and shown is not None and not shown.flaw(len(OTHER), _digest(OTHER)):
        return Finding("replace", "ok", "a rename replaces a file")
    return Finding(
        "replace",
        "fail",
        f"no rename over a file: {reply.words!r}",
        "allow overwriting on the server (ProFTPD: AllowOverwrite on)",
    )


def _atomic(sandbox: Sandbox) -> Finding:
    """Look at one name from a second connection while it is replaced again and again."""
    if sandbox.ftp.size_verb != "SIZE":
        return Finding("atomic replace", "note", "not looked at: the server has no SIZE")
    try:
        watching = sandbox.another()
    except FtpUnavailable as error:
        return Finding("atomic replace", "note", f"not looked at: {error.what}")
    try:
        replies = _watched(sandbox, watching)
    finally:
        watching.farewell()
    whole = {f"213 {len(data)}" for data in (SMALL, OTHER)}
    odd = [reply for reply in replies if reply.text.strip() not in whole]
    if odd:
        seen = f"{len(odd)} of {len(replies)} looks met no whole file: {odd[0].words!r}"
        return Finding(
            "atomic replace", "fail", seen, "deliver to a server that replaces atomically"
        )
    seen = f"{REPLACED_TIMES} replacements, {len(replies)} looks, each met a whole file"
    return Finding("atomic replace", "ok", seen)


def _watched(sandbox: Sandbox, watching: FerryFTP) -> list[Reply]:
    final = sandbox.path("final.bin")
    parts = [sandbox.path(f"watched-{number}.part") for number in range(REPLACED_TIMES)]
    for number, part in enumerate(parts):
        _stored(sandbox, part.rpartition("/")[2], (SMALL, OTHER)[number % 2])
    done, replies, errors = Event(), [], []

    def look() -> None:
        try:
            while not done.is_set():
                replies.append(watching.ask("SIZE", final))
        except FrameferryError as error:
            errors.append(error)

    thread = Thread(target=look)
    thread.start()
    try:
        for part in parts:
            _insist("rename", rename(sandbox.ftp, part, final))
    finally:
        done.set()
        thread.join()
    if errors:
        raise errors[0]
    return replies


def _deletion(sandbox: Sandbox) -> Finding:
    reply = sandbox.ftp.ask("DELE", sandbox.path("final.bin"))
    if reply.is_success and is_gone(sandbox.ftp, sandbox.path("final.bin")):
        return Finding("delete", "ok", "own files")
    return Finding(
        "delete",
        "note",
        f"{reply.words!r}: parts of failed attempts will stay",
        "give the right to delete",
    )


def _names(sandbox: Sandbox) -> Finding:
    """See that odd names come back from the listing as they were sent."""
    wrong = []
    for name in _ODD_NAMES:
        try:
            reply = sandbox.store(f"{name[:-4]}.tmp", b"x")
            reply = rename(sandbox.ftp, sandbox.path(f"{name[:-4]}.tmp"), sandbox.path(name))
        except FrameferryError as error:
            wrong.append(f"{name[:20]!r}: {error.what}")
            continue
        if not reply.is_success or name not in _names_in(sandbox):
            wrong.append(f"{name[:20]!r}: {reply.words[:60]!r}")
    if wrong:
        seen = f"not kept as sent: {'; '.join(wrong)}"
        return Finding("names", "note", seen, "extra: encoding; short names of plain letters")
    return Finding("names", "ok", f"Korean, marks and 255 bytes are kept ({sandbox.ftp.encoding})")


def _hidden_names(sandbox: Sandbox) -> Finding:
    reply = sandbox.store(".hidden.part", b"x")
    if not reply.is_success:
        seen = f"names with a leading dot are refused: {reply.words!r}"
        return Finding("hidden names", "note", seen, "deliver.part_name: suffix")
    is_swept = ".hidden.part" in _names_in(sandbox)
    is_shown = ".hidden.part" in shown_names(sandbox.ftp, sandbox.folder)
    seen = "parts are shown to consumers too" if is_shown else "a plain listing hides parts"
    if not is_swept:
        return Finding("hidden names", "note", f"{seen}; no listing shows them, so none is swept")
    advice = "let consumers ignore names that end in .part" if is_shown else ""
    return Finding("hidden names", "note" if is_shown else "ok", seen, advice)


def _names_in(sandbox: Sandbox) -> set[str]:
    return {name for name, _ in list_folder(sandbox.ftp, sandbox.folder)}


def _stored(sandbox: Sandbox, name: str, data: bytes) -> None:
    _insist("upload", sandbox.store(name, data))


def _insist(what: str, reply: Reply) -> None:
    if not reply.is_success:
        msg = f"{what}: the server said {reply.words!r}"
        raise DeliveryRefused(msg)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


_CHECKS: dict[str, Callable[[Sandbox], Finding]] = {
    "encryption": _encryption,
    "folders": _folders,
    "upload": _upload,
    "verification": _verification,
    "empty file": _empty_file,
    "rename": _rename,
    "replace": _replace,
    "atomic replace": _atomic,
    "delete": _deletion,
    "names": _names,
    "hidden names": _hidden_names,
}
_NEEDED_BY_ALL = frozenset({"folders", "upload"})
