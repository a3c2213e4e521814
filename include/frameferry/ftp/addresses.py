"""
Whether a data address may be asked for together with other things, or must be asked for alone.

A firewall that reads the control connection opens a data port for the reply that announces it. Many
look at the beginning of a packet only, and miss an address that shares one with other replies.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSES: Final = 2
"""So many addresses have to lead nowhere: one alone may be any trouble."""
_ONE_IN: Final = 8
_REMEMBERED: Final = 64
SLOW_SECONDS: Final = 0.9
"""A first packet that gets lost is sent again after a second: such an address is missed too."""


@dataclass(slots=True)
class _Tried:
    """Addresses asked for in one way: how many led nowhere, and how many there were."""

    missed: int = 0
    all: int = 0

    def note(self, *, is_missed: bool) -> None:
        """Count one; forget half once there are many."""
        if self.all >= _REMEMBERED:
            self.missed, self.all = self.missed // 2, self.all // 2
        self.missed += is_missed
        self.all += 1


class Addresses:
    """
    What data addresses led to, by the way they were asked for. For several threads.

    `is_alone` is set once asking ahead turned out worse than asking alone, and stays so.
    """

    def __init__(self) -> None:
        self.is_alone = False
        self._ahead = _Tried()
        self._alone = _Tried()

    def note(self, *, ahead: bool, is_missed: bool) -> None:
        """Note whether an address led to a data connection, in good time."""
        (self._ahead if ahead else self._alone).note(is_missed=is_missed)
        ahead_is_bad = (
            self._ahead.missed >= MISSES and self._ahead.missed * _ONE_IN >= self._ahead.all
        )
        # If no address leads anywhere, it is the port, or the server.
        if ahead_is_bad and self._share(self._ahead) > self._share(self._alone):
            self.is_alone = True

    def _share(self, tried: _Tried) -> float:
        return tried.missed / tried.all if tried.all else 1.0
