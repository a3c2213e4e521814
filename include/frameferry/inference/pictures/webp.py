"""
WebP, by libwebp through imagecodecs. Never by TensorFlow, which a valid one can end.

The sizes are read here first: libwebp's readers of several frames reserve them before they tell.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.card import Spec
from frameferry.inference.pictures.exif import orientation
from frameferry.inference.pictures.picture import BYTE_BITS, RGB, Picture, refuse_size
from frameferry.inference.undecodable import BadPictureError, Reason

_RIFF_BYTES, _CHUNK_BYTES = 12, 8
_MOST_CHUNKS = 1000
_ANIMATION = 0x02
_SIDE = 0x3FFF
_LOSSY_START, _LOSSLESS_START = b"\x9d\x01\x2a", 0x2F
_LOSSY_BYTES, _LOSSLESS_BYTES, _EXTENDED_BYTES = 10, 5, 10


def read_webp(value: bytes, spec: Spec) -> Picture:
    """
    Decode a WebP of one frame; what follows it is ignored.

    Raises:
        BadPictureError: It ends early, is damaged, too large, or moves.
    """
    import imagecodecs  # noqa: PLC0415 - libraries of many formats, for those who have one

    end = _RIFF_BYTES - 4 + int.from_bytes(value[4:8], "little")
    if end > len(value):
        raise BadPictureError(Reason.TRUNCATED, f"{len(value):,} of {end:,} bytes")
    whole = value[:end]
    size, exif = _walk(whole, spec)
    pixels: NDArray[np.uint8] = imagecodecs.webp_decode(whole)
    if pixels.shape[:2] != size[::-1]:
        raise BadPictureError(Reason.DAMAGED, f"its header says {size}, its pixels are others")
    return Picture(pixels, BYTE_BITS, RGB, orientation(exif))


def _walk(value: bytes, spec: Spec) -> tuple[tuple[int, int], bytes]:
    """
    Read size and EXIF from the chunks, none of which is unpacked.

    Source: RFC 9649, WebP Image Format, 2.3 to 2.7.
    """
    sizes, exif, start = [], b"", _RIFF_BYTES
    for _ in range(_MOST_CHUNKS):
        if start + _CHUNK_BYTES > len(value):
            break
        kind, length = (
            value[start : start + 4],
            int.from_bytes(value[start + 4 : start + 8], "little"),
        )
        content = value[start + _CHUNK_BYTES : start + _CHUNK_BYTES + length]
        if len(content) < length:
            raise BadPictureError(
                Reason.TRUNCATED, f"a chunk at {start} is longer than the picture"
            )
        if size := _size(kind, content):
            refuse_size(*size, spec)
            sizes.append(size)
        exif = exif or (content if kind == b"EXIF" else b"")
        start += _CHUNK_BYTES + length + length % 2
    if not sizes:
        raise BadPictureError(Reason.DAMAGED, "no pixels in it")
    return sizes[0], exif


def _size(kind: bytes, content: bytes) -> tuple[int, int] | None:
    """Read width and height from a chunk that tells them."""
    if kind == b"VP8X" and len(content) >= _EXTENDED_BYTES:
        if content[0] & _ANIMATION:
            raise BadPictureError(Reason.ANIMATED, "a WebP that moves")
        width, height = content[4:7], content[7:10]
        return int.from_bytes(width, "little") + 1, int.from_bytes(height, "little") + 1
    if kind == b"VP8 " and len(content) >= _LOSSY_BYTES and content[3:6] == _LOSSY_START:
        width, height = content[6:8], content[8:10]
        return int.from_bytes(width, "little") & _SIDE, int.from_bytes(height, "little") & _SIDE
    if kind == b"VP8L" and len(content) >= _LOSSLESS_BYTES and content[0] == _LOSSLESS_START:
        bits = int.from_bytes(content[1:5], "little")
        return (bits & _SIDE) + 1, (bits >> 14 & _SIDE) + 1
    return None
