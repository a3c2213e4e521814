"""JPEG 2000, by OpenJPEG through imagecodecs: grey or RGB of 8 to 16 bits, or more channels."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from numpy.typing import NDArray

from frameferry.inference.card import Spec
from frameferry.inference.pictures.picture import (
    BYTE_BITS,
    WORD_BITS,
    Picture,
    of_samples,
    refuse_size,
)
from frameferry.inference.undecodable import BadPictureError, Reason

_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_SIZ_BYTES: Final = 42
_MOST_BOXES: Final = 1000
_TURNING: Final = {b"pclr": "a palette", b"cmap": "a palette"}
_COLOURS: Final = {16: "sRGB", 17: "grey"}


def read_jpeg2000(value: bytes, spec: Spec) -> Picture:
    """
    Decode a JP2 file or a bare codestream; what follows it is ignored.

    Raises:
        BadPictureError: It ends early, is damaged or too large, or stores colours in a way that is
            not read: a palette, channels of different kinds, YCC.
    """
    import imagecodecs  # noqa: PLC0415 - few pipelines take them

    start = 0 if value.startswith(_CODESTREAM) else _codestream(value)
    width, height, channels, bits = _size(value, start)
    refuse_size(width, height, spec, channels)
    pixels: NDArray[Any] = imagecodecs.jpeg2k_decode(value, planar=False, numthreads=1)
    shape = (height, width) if channels == 1 else (height, width, channels)
    if pixels.shape != shape:
        detail = f"its header says {shape}, its pixels are {pixels.shape}"
        raise BadPictureError(Reason.DAMAGED, detail)
    return of_samples(pixels, bits, spec)


def _size(value: bytes, start: int) -> tuple[int, int, int, int]:
    """
    Read width, height, channels and bits of the SIZ marker.

    Source: ISO/IEC 15444-1, A.5.1.
    """
    header = value[start : start + _SIZ_BYTES]
    if len(header) < _SIZ_BYTES or not header.startswith(_CODESTREAM):
        raise BadPictureError(Reason.TRUNCATED, "no codestream")
    right, bottom, left, top = struct.unpack_from(">4L", header, 8)
    (channels,) = struct.unpack_from(">H", header, 40)
    kinds = value[start + _SIZ_BYTES : start + _SIZ_BYTES + 3 * channels]
    if len(set(struct.iter_unpack("3B", kinds[: len(kinds) // 3 * 3]))) != 1:
        raise BadPictureError(Reason.UNFIT, "its channels are of different depths or sizes")
    depth, across, down = kinds[:3]
    bits = depth + 1
    if (across, down) != (1, 1) or not BYTE_BITS <= bits <= WORD_BITS:
        detail = f"channels of depth byte {depth:#x} at {across} x {down}; expected 8 to 16 bits"
        raise BadPictureError(Reason.UNFIT, detail)
    return right - left, bottom - top, channels, bits


def _codestream(value: bytes) -> int:
    """Find where the pixels begin, and refuse colours that would be read wrong on the way."""
    for kind, start, end in _boxes(value, 0, len(value)):
        if kind == b"jp2c":
            return start
        if kind == b"jp2h":
            for inner, begin, _ in _boxes(value, start, end):
                _refuse_colours(inner, value[begin : begin + 7])
    raise BadPictureError(Reason.TRUNCATED, "no codestream")


def _refuse_colours(kind: bytes, content: bytes) -> None:
    if kind in _TURNING:
        raise BadPictureError(Reason.UNFIT, _TURNING[kind])
    if kind == b"colr" and content[:1] == b"\1":
        space = int.from_bytes(content[3:7])
        if space not in _COLOURS:
            detail = f"colour space {space}; expected {_COLOURS}"
            raise BadPictureError(Reason.UNFIT, detail)


def _boxes(value: bytes, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and end of what each box holds. Source: same, I.4."""
    for _ in range(_MOST_BOXES):
        if start + 8 > end:
            return
        length, kind, inner = (
            int.from_bytes(value[start : start + 4]),
            value[start + 4 : start + 8],
            8,
        )
        if length == 1:
            length, inner = int.from_bytes(value[start + 8 : start + 16]), 16
        stop = end if length == 0 else start + length
        if length and length < inner:
            raise BadPictureError(Reason.DAMAGED, f"a box at {start} of {length} bytes")
        yield kind, start + inner, min(stop, end)
        start = stop
