"""Remote paths: what may be written to the socket as one."""

from __future__ import annotations

import re
from functools import lru_cache

from frameferry.errors import UnsafePath

COMPONENT_BYTES = 255
PATH_BYTES = 4096
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_path(path: str, base: str) -> None:
    """
    Refuse a path that a server could take amiss or that is not at or below *base*.

    Raises:
        UnsafePath: Relative, empty or dotted components, control characters, too long, or
            outside the base.
    """
    flaw = _flaw(path)
    if flaw is None and not is_within(path, base):
        flaw = f"lies outside {base}"
    if flaw is not None:
        msg = f"the remote path {path!r} {flaw}"
        raise UnsafePath(msg, remedy="Check deliver.name and deliver.base of the pipeline")


def is_within(path: str, base: str) -> bool:
    """Say whether *path* is *base* or lies below it; both absolute, without a final slash."""
    return path == base or path.startswith(f"{base.rstrip('/')}/")


def has_control_character(text: str) -> bool:
    """Say whether a character could end a command line, or cannot be written as UTF-8."""
    return _CONTROL.search(text) is not None


@lru_cache(maxsize=1024)
def _flaw(path: str) -> str | None:
    components = path.split("/")[1:]
    if not path.startswith("/"):
        return "is not absolute"
    if path != "/" and any(part in {"", ".", ".."} for part in components):
        return "has an empty or dotted component"
    if has_control_character(path):
        return "holds a control character"
    if max(len(part.encode()) for part in components) > COMPONENT_BYTES:
        return f"has a component over {COMPONENT_BYTES} bytes"
    return f"is over {PATH_BYTES} bytes" if len(path.encode()) > PATH_BYTES else None
