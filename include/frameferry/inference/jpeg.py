"""Is a JPEG whole? libjpeg does not say. The bytes are not trusted."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.undecodable import BadPictureError, Reason

_MAX_SCANS = 64
"""More scans than any camera writes; each costs a pass over the whole picture."""
_MARKER, _SOI, _EOI, _SOS, _FIRST_RESTART = 0xFF, 0xD8, 0xD9, 0xDA, 0xD0
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NO_DATA = b"\xff\x00" * 8
"""Eight bytes of ones, which are no Huffman code: the decoder's look-ahead, and no more."""


def without_end(value: bytes) -> bytes:
    """
    Check that a JPEG's segments are whole, and take away its end marker where that is safe.

    libjpeg fills up with grey when it meets the end too early, and Pillow tells nobody. Without
    the marker it must ask for more, and Pillow reports the picture as truncated. A progressive
    picture is decoded after its last scan only and needs the marker: there only a missing end is
    noticed. Restart markers must count on, else a stretch between them is lost.

    Raises:
        BadPictureError: It ends early, or a stretch is missing.
    """
    places, codes = _markers(value)
    scans, progressive, position = 0, False, 2
    while (index := int(np.searchsorted(places, position))) < len(places):
        code, position = int(codes[index]), int(places[index])
        if code == _EOI and scans:
            single = scans == 1 and not progressive
            return value[:position] + _NO_DATA if single else value[: position + 2]
        if code in {_SOI, _EOI} or scans > _MAX_SCANS:
            raise BadPictureError(Reason.DAMAGED, f"marker {code:02x} out of place")
        progressive = progressive or code in _PROGRESSIVE
        position += 2 + int.from_bytes(value[position + 2 : position + 4], "big")
        if code == _SOS:
            scans += 1
            position = _end_of_scan(places, codes, position)
    raise BadPictureError(Reason.TRUNCATED, "no end-of-image marker")


def _markers(value: bytes) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Find every marker of a JPEG, and what looks like one inside a segment: places and codes."""
    data = np.frombuffer(value, np.uint8)
    places = np.flatnonzero(data[:-1] == _MARKER)
    codes = data[places + 1]
    real = (codes != 0) & (codes != _MARKER)
    return places[real], codes[real]


def _end_of_scan(places: NDArray[np.intp], codes: NDArray[np.uint8], start: int) -> int:
    """Step over a scan's pixels and restart markers to the next marker's place."""
    first = int(np.searchsorted(places, start))
    others = np.flatnonzero(codes[first:] & ~np.uint8(7) != _FIRST_RESTART)
    count = int(others[0]) if len(others) else len(codes) - first
    if np.any(codes[first : first + count] != _FIRST_RESTART + np.arange(count) % 8):
        raise BadPictureError(Reason.DAMAGED, "a stretch between two restart markers is lost")
    return int(places[first + count]) if len(others) else int(np.iinfo(np.intp).max)
