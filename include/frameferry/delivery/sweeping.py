"""Find parts on a server, and delete those that nobody will rename any more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from frameferry.delivery.parts import PartTag, part_tag_of
from frameferry.errors import UnsafePath
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.listing import list_folder
from frameferry.ftp.paths import check_path

BURST_FILES = 100


class FoundPart(NamedTuple):
    """A part that lies on the server, and whose it is."""

    path: str
    tag: PartTag


def find_parts(ftp: FerryFTP, folder: str, *, base: str) -> Iterator[FoundPart]:
    """
    Yield the parts, and the probe files, in a folder.

    A name that could not be sent back, or leads out of the folder, is passed over: no listing
    decides where we delete.

    Raises:
        FtpUnavailable: Cut off, or refused for now.
        DeliveryRefused: The folder is gone, or cannot be listed.
    """
    for name, _ in list_folder(ftp, folder):
        tag = part_tag_of(name)
        path = f"{folder.rstrip('/')}/{name}"
        with suppress(UnsafePath):
            check_path(path, base)
            if tag is not None and "/" not in name:
                yield FoundPart(path, tag)


def delete_parts(ftp: FerryFTP, paths: Sequence[str]) -> dict[str, str]:
    """
    Delete parts, and return those that the server refuses to delete, each with its words.

    Raises:
        FtpUnavailable: Cut off.
    """
    refused = {}
    for start in range(0, len(paths), BURST_FILES):
        chunk = paths[start : start + BURST_FILES]
        replies = ftp.burst([f"DELE {path}" for path in chunk])
        for path, reply in zip(chunk, replies, strict=True):
            if not reply.is_success:
                refused[path] = reply.words
    return refused
