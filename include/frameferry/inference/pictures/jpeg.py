"""
Check that a JPEG is whole, and find what decides its pixels.

libjpeg tells neither. The bytes are not trusted.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.undecodable import BadPictureError, Reason

_MAX_SCANS = 64
"""More scans than any camera writes; each costs a pass over the whole picture."""
_MAX_SEGMENTS = 20_000
"""More than metadata of 1 GB has; each costs a look."""
_MAX_EXIF_BYTES = 1 << 20
_MARKER, _SOI, _EOI, _SOS, _FIRST_RESTART = 0xFF, 0xD8, 0xD9, 0xDA, 0xD0
_APP0, _APP1, _APP14, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE
_BESIDE = frozenset({*range(_APP0, _APP0 + 16), _COMMENT})
"""Segments that are for programs other than the decoder."""
_JFIF_BYTES, _ADOBE_BYTES = 14, 12
_EXIF = b"Exif\0\0"
_END = b"\xff\xd9"
_NOWHERE = int(np.iinfo(np.intp).max)
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NO_DATA = b"\xff\x00" * 8
"""Eight bytes of ones, which are not a Huffman code: they only fill the decoder's look-ahead."""


def plain(value: bytes, *, colours: bytes = b"") -> tuple[bytes, bytes]:
    """
    Return what decides a JPEG's pixels, checked to be whole, and its EXIF.

    Application segments and comments, whole or broken, are left out: they do not decide pixels. Two
    are kept, since they tell libjpeg how colours are stored; or *colours* stand in their place, the
    segment of one who knows better.

    libjpeg fills up with grey if it meets the end marker too early, and Pillow does not tell.
    Without the marker libjpeg must ask for more, and Pillow reports the picture as truncated. So
    the end marker is left out as well if that is safe. A progressive picture needs it, since it is
    decoded only after its last scan: there only a missing end is noticed. Restart markers must
    count on, otherwise a stretch between them is lost.

    Raises:
        BadPictureError: It ends early, or a stretch is missing.
    """
    places, codes = _markers(value)
    kept, exif = [value[:2], colours], b""
    scans, progressive, position, number = 0, False, 2, 0
    while (index := int(np.searchsorted(places, position))) < len(places):
        code, start = int(codes[index]), int(places[index])
        if code == _EOI and scans:
            single = scans == 1 and not progressive
            return b"".join([*kept, _NO_DATA if single else _END]), exif
        if code in {_SOI, _EOI} or scans > _MAX_SCANS:
            raise BadPictureError(Reason.DAMAGED, f"marker {code:02x} out of place")
        if (number := number + 1) > _MAX_SEGMENTS:
            raise BadPictureError(Reason.DAMAGED, f"more than {_MAX_SEGMENTS:,} segments")
        progressive = progressive or code in _PROGRESSIVE
        position = start + 2 + int.from_bytes(value[start + 2 : start + 4], "big")
        if code == _APP1 and len(exif) < _MAX_EXIF_BYTES:
            exif += _exif(value[start:position], goes_on=bool(exif))
        if code == _SOS:
            scans += 1
            position = _end_of_scan(places, codes, position)
        if code not in _BESIDE or (not colours and _tells_colours(value[start:position], code)):
            kept.append(value[start:position])
    raise _without_end(value, position)


def _exif(segment: bytes, *, goes_on: bool) -> bytes:
    """Return the EXIF in a segment; it may go on over several."""
    content = segment[4:]
    if not content.startswith(_EXIF):
        return b""
    return content[len(_EXIF) :] if goes_on else content


def _tells_colours(segment: bytes, code: int) -> bool:
    """Say whether libjpeg goes by a segment. Source: libjpeg, jdmarker.c, examine_app0 and 14."""
    content = segment[4:]
    if code == _APP0:
        return content.startswith(b"JFIF\0") and len(content) >= _JFIF_BYTES
    return code == _APP14 and content.startswith(b"Adobe") and len(content) >= _ADOBE_BYTES


def _without_end(value: bytes, position: int) -> BadPictureError:
    """Tell a picture that ends early from one that has its end but a wrong length before it."""
    if len(value) < position < _NOWHERE and value.endswith(_END):
        return BadPictureError(Reason.DAMAGED, "a segment longer than the picture")
    return BadPictureError(Reason.TRUNCATED, "no end-of-image marker")


def _markers(value: bytes) -> tuple[NDArray[np.intp], NDArray[np.uint8]]:
    """Find places and codes of a JPEG's markers, and of what looks like one inside a segment."""
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
    return int(places[first + count]) if len(others) else _NOWHERE
