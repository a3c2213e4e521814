"""JPEG XL, by libjxl through imagecodecs: grey or RGB of 8 to 16 bits."""

from __future__ import annotations

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

_CODESTREAM: Final = b"\xff\x0a"
_HEADER_BYTES: Final = 64
_MOST_BOXES: Final = 1000
_RATIOS: Final = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_SIDES: Final = ((9, 1), (13, 1), (18, 1), (30, 1))
_DEPTHS: Final = ((0, 8), (0, 10), (0, 12), (6, 1))
_EXTRAS: Final = ((0, 0), (0, 1), (4, 2), (12, 1))


def read_jpegxl(value: bytes, spec: Spec) -> Picture:
    """
    Decode a JPEG XL file or a bare codestream of one frame; what follows it is ignored.

    Raises:
        BadPictureError: It ends early, is damaged or too large, moves, or holds floats.
    """
    import imagecodecs  # noqa: PLC0415 - few pipelines take them

    start = 0 if value.startswith(_CODESTREAM) else _codestream(value)
    if value[start : start + 2] != _CODESTREAM:
        raise BadPictureError(Reason.DAMAGED, f"no codestream at {start}")
    header = _Header(value[start + 2 : start + 2 + _HEADER_BYTES])
    width, height = header.size()
    refuse_size(width, height, spec)
    bits, extras = header.kinds()
    refuse_size(width, height, spec, 3 + extras)
    pixels: NDArray[Any] = imagecodecs.jpegxl_decode(
        value, index=0, keeporientation=True, numthreads=1
    )
    if pixels.shape[:2] != (height, width):
        detail = f"its header says {width} x {height}, its pixels are {pixels.shape}"
        raise BadPictureError(Reason.DAMAGED, detail)
    return of_samples(pixels, bits, spec, turn=header.turn)


class _Header:
    """
    The first bits of a codestream, the lowest of each byte first.

    Source: ISO/IEC 18181-1, 9.2 (U32), D.2 (SizeHeader), D.3 (ImageMetadata).
    """

    def __init__(self, value: bytes) -> None:
        self._bits = int.from_bytes(value, "little")
        self._left = len(value) * 8
        self.turn = 1

    def _take(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise BadPictureError(Reason.TRUNCATED, "its header ends early")
        taken = self._bits & (1 << count) - 1
        self._bits >>= count
        return taken

    def _number(self, choices: tuple[tuple[int, int], ...]) -> int:
        count, least = choices[self._take(2)]
        return least + self._take(count)

    def size(self) -> tuple[int, int]:
        """Read width and height."""
        is_small = self._take(1)
        height = (self._take(5) + 1) * 8 if is_small else self._number(_SIDES)
        if ratio := self._take(3):
            over, under = _RATIOS[ratio]
            return height * over // under, height
        return (self._take(5) + 1) * 8 if is_small else self._number(_SIDES), height

    def kinds(self) -> tuple[int, int]:
        """Read bits a channel, and how many channels there are besides colours, after the size."""
        if self._take(1):
            return BYTE_BITS, 0
        if self._take(1):
            self._refuse_extra_fields()
        if self._take(1):
            raise BadPictureError(Reason.UNFIT, "its pixels are floats")
        bits = self._number(_DEPTHS)
        if not BYTE_BITS <= bits <= WORD_BITS:
            raise BadPictureError(Reason.UNFIT, f"{bits} bits a channel; expected 8 to 16")
        self._take(1)
        return bits, self._number(_EXTRAS)

    def _refuse_extra_fields(self) -> None:
        self.turn = self._take(3) + 1
        intrinsic = self._take(1)
        if intrinsic:
            self.size()
        preview = self._take(1)
        animation = 0 if preview else self._take(1)
        if preview or animation:
            raise BadPictureError(Reason.ANIMATED, "a preview or several frames")


def _codestream(value: bytes) -> int:
    """Find the codestream in a file of boxes; in parts it may be, of which the first is enough."""
    start = 0
    for _ in range(_MOST_BOXES):
        length, kind, inner = (
            int.from_bytes(value[start : start + 4]),
            value[start + 4 : start + 8],
            8,
        )
        if length == 1:
            length, inner = int.from_bytes(value[start + 8 : start + 16]), 16
        if kind in {b"jxlc", b"jxlp"}:
            return start + inner + (4 if kind == b"jxlp" else 0)
        if length < inner or start + length >= len(value):
            break
        start += length
    raise BadPictureError(Reason.TRUNCATED, "no codestream")
