"""
Names of parts: they tell whose a part is, so that orphans can be recognised.

A part whose picture has a sidecar says so. The sidecar's own part and final name follow from the
picture's, so that an intent, which names the picture's part, names them too.
"""

from __future__ import annotations

import hashlib
import re
from posixpath import split
from typing import Literal, NamedTuple

from frameferry.ftp.paths import COMPONENT_BYTES

PartStyle = Literal["dot", "suffix"]
"""Parts begin with a dot and end in `.part`, or only end so, if a server takes no dot."""
PART_SUFFIX = ".part"
SIDECAR_SUFFIX = ".json"
_WITH_SIDECAR = "+json"
_HASH_CHARACTERS = 16
_TAG = r"\.(?P<epoch>[0-9a-z]{1,16})-(?P<batch>\d{1,18})-(?P<attempt>\d{1,9})-\d{1,18}"
_PART = re.compile(rf".*{_TAG}(\+json|\.json)?\.part", re.DOTALL)
_PROBE = re.compile(rf"\.frameferry-probe{_TAG}\.probe")


class PartTag(NamedTuple):
    """Which attempt made a part; `epoch` is its beginning only, as in `Batch.part_tag`."""

    epoch: str
    batch_id: int
    attempt: int


def part_path(
    final_path: str,
    part_tag: str,
    number: int,
    *,
    style: PartStyle = "dot",
    has_sidecar: bool = False,
) -> str:
    """
    Name the part of a final file: in the same folder, and its own for each *number* of a tag.

    The leading dot hides it from most consumers, the suffix from the rest. The final name is
    kept for the reader as far as 255 bytes allow.
    """
    folder, name = split(final_path)
    start = "." if style == "dot" else ""
    tail = f".{part_tag}-{number}{_WITH_SIDECAR if has_sidecar else ''}{PART_SUFFIX}"
    room = COMPONENT_BYTES - len(f"{start}{tail}".encode())
    head = name.encode()[:room].decode(errors="ignore")
    return f"{folder.rstrip('/')}/{start}{head}{tail}"


def part_tag_of(name: str) -> PartTag | None:
    """Read whose part a file is; None if it is neither a part nor a probe file of ours."""
    found = _PART.fullmatch(name) or _PROBE.fullmatch(name)
    if found is None:
        return None
    return PartTag(found["epoch"], int(found["batch"]), int(found["attempt"]))


def is_part(path: str) -> bool:
    """Say whether a file, whoever sends it, is not yet under a final name."""
    return path.endswith(PART_SUFFIX)


def has_sidecar(part: str) -> bool:
    """Say whether a picture's part goes with the part of a sidecar."""
    return part.endswith(f"{_WITH_SIDECAR}{PART_SUFFIX}")


def sidecar_part(part: str) -> str:
    """Name the part of the sidecar of a picture's part."""
    return f"{part.removesuffix(f'{_WITH_SIDECAR}{PART_SUFFIX}')}{SIDECAR_SUFFIX}{PART_SUFFIX}"


def sidecar_path(final_path: str) -> str:
    """
    Name the sidecar of a picture: its name and `.json`, in the same folder.

    A name that would be over 255 bytes keeps its beginning, with a digest behind it.
    """
    folder, name = split(final_path)
    whole = name.encode()
    room = COMPONENT_BYTES - len(SIDECAR_SUFFIX)
    if len(whole) > room:
        digest = f"~{hashlib.sha256(whole).hexdigest()[:_HASH_CHARACTERS]}"
        name = whole[: room - len(digest)].decode(errors="ignore") + digest
    return f"{folder.rstrip('/')}/{name}{SIDECAR_SUFFIX}"
