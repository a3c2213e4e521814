"""Numbers as a person reads them, rounded to what they are worth."""

from __future__ import annotations

from typing import Final

_BYTES: Final = ((10**12, "TB"), (10**9, "GB"), (10**6, "MB"), (10**3, "kB"))
_TIMES: Final = ((86_400, "days"), (3_600, "h"), (60, "min"))
_TWICE: Final = 2
_FINE: Final = 10


def counted(number: int, noun: str, plural: str = "") -> str:
    """Say how many: `1 record`, `1,800 records`, `2 leaves`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def in_bytes(number: float) -> str:
    """Say a size in decimal units: `1 byte`, `252 MB`, `1.4 GB`."""
    for unit, name in _BYTES:
        if number >= unit:
            return f"{_short(number / unit)} {name}"
    return "1 byte" if round(number) == 1 else f"{number:.0f} bytes"


def in_time(seconds: float) -> str:
    """Say a duration: `33 ms`, `60 s`, `7 min`, `3 h`, `2 days`; from two of a unit upwards."""
    for unit, name in _TIMES:
        if seconds >= _TWICE * unit:
            return f"{seconds / unit:.0f} {name}"
    return f"{_short(seconds)} s" if seconds >= 1 else f"{_short(seconds * 1000)} ms"


def shown(text: str) -> str:
    """Escape the characters of a text that do not show, or could steer a terminal."""
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode()


def _short(number: float) -> str:
    return f"{number:.1f}" if 0 < number < _FINE and number != round(number) else f"{number:.0f}"
