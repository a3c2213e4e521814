"""Send a probe file through a folder, to tell a refused record from a refused folder."""

from __future__ import annotations

from frameferry.errors import DeliveryRefused
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.replies import Reply, raise_unless_record

_CONTENT = b"frameferry probe\n"


def check_folder(ftp: FerryFTP, folder: str, tag: str) -> None:
    """
    Upload, rename and delete a file of our own, named by *tag*, in a folder.

    Raises:
        DeliveryRefused: The server refuses our own file too, so it is the folder.
        FtpUnavailable: Transient trouble on the way.
    """
    part, final = _names(folder, tag)
    _send(ftp, folder, part)
    _insist(folder, "a rename", rename(ftp, part, final))
    ftp.ask("DELE", final)


def replaces_files(ftp: FerryFTP, folder: str, tag: str) -> bool:
    """
    Try whether a rename may replace a file, with two files of our own, named by *tag*.

    Raises:
        DeliveryRefused: The server refuses even a rename to a free name.
        FtpUnavailable: Transient trouble on the way.
    """
    part, final = _names(folder, tag)
    _send(ftp, folder, part)
    _insist(folder, "a rename", rename(ftp, part, final))
    _send(ftp, folder, part)
    replaced = rename(ftp, part, final).is_success
    list(ftp.burst([f"DELE {part}", f"DELE {final}"]))
    return replaced


def rename(ftp: FerryFTP, old: str, new: str) -> Reply:
    """
    Rename, and return the reply that decides.

    Raises:
        FtpUnavailable: Cut off.
    """
    source, target = ftp.burst([f"RNFR {old}", f"RNTO {new}"])
    return target if source.is_wanting else source


def _names(folder: str, tag: str) -> tuple[str, str]:
    stem = f"{folder.rstrip('/')}/.frameferry-probe.{tag}"
    return f"{stem}.part", f"{stem}.probe"


def _send(ftp: FerryFTP, folder: str, path: str) -> None:
    _insist(folder, "an upload", ftp.store(path, _CONTENT))


def _insist(folder: str, what: str, reply: Reply) -> None:
    if reply.is_success:
        return
    raise_unless_record(what, reply)
    msg = f"the server refuses {what} in {folder} even for a probe file: {reply.words!r}"
    remedy = f"Give the FTP account the right to write, rename and delete in {folder}"
    raise DeliveryRefused(msg, remedy=remedy)
