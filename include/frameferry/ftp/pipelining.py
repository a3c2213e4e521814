"""How far commands may run ahead of their replies, by what a server's greeting gives away."""

from __future__ import annotations

import re
from typing import Literal

Pipelining = Literal["auto", "deep", "safe", "alone", "off"]
Depth = Literal["deep", "safe", "off"]
"""
deep: questions run with the upload they are about; safe: no command runs with a transfer. `alone`
is like `auto`, but asks for no data address together with anything else.
"""

_TAKES_ALL = re.compile(r"vsFTPd|ProFTPD|Pure-FTPd")
_TAKES_ONE = re.compile(r"icrosoft FTP Service|MadGoat|MikroTik")


def depth_of(pipelining: Pipelining, greeting: str) -> Depth:
    """Choose as the connection says; unless told, deep only if the server is known to take it."""
    if pipelining in ("deep", "safe", "off"):
        return pipelining
    if _TAKES_ONE.search(greeting):
        return "off"
    return "deep" if _TAKES_ALL.search(greeting) else "safe"
