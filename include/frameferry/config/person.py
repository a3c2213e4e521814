"""Who gives a command, for the record."""

from __future__ import annotations

import os
import pwd
import re
from typing import Final

_UID: Final = re.compile(r"[0-9]{1,10}")


def person() -> str:
    """
    Name the user of this process by its uid, since anybody may set `$USER`.

    If sudo says that somebody else became that user, both are named: `root (sudo by ada)`. What
    sudo says can be forged, so it never stands alone.
    """
    uid, behind = os.getuid(), os.environ.get("SUDO_UID", "")
    if _UID.fullmatch(behind) is None or int(behind) == uid:
        return _named(uid)
    return f"{_named(uid)} (sudo by {_named(int(behind))})"


def _named(uid: int) -> str:
    """Name a user; by number if the system has no name, as in containers."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
