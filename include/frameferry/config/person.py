"""Who gives a command, for the record."""

from __future__ import annotations

import getpass
import os


def person() -> str:
    """Name the user of this process; by number where the system has no name, as in containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
