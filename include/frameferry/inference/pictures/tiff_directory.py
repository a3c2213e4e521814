"""Read a TIFF's directories: what each page is, and where its bytes lie. Nothing is unpacked."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.undecodable import BadPictureError, Reason

Integers = NDArray[np.int64]

SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 254, 256, 257, 258, 259, 262
FILL_ORDER, STRIP_OFFSETS, ORIENTATION, CHANNELS, ROWS_PER_STRIP = 266, 273, 274, 277, 278
STRIP_BYTES, PLANAR, PREDICTOR, PALETTE = 279, 284, 317, 320
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
SAMPLE_FORMAT, JPEG_TABLES = 339, 347
_READ: Final = frozenset(
    {SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER, STRIP_OFFSETS, ORIENTATION}
    | {CHANNELS, ROWS_PER_STRIP, STRIP_BYTES, PLANAR, PREDICTOR, PALETTE, TILE_WIDTH, TILE_HEIGHT}
    | {TILE_OFFSETS, TILE_BYTES, SAMPLE_FORMAT, JPEG_TABLES}
)
_TYPES: Final = {1: "u1", 3: "u2", 4: "u4", 7: "u1"}
"""Field types that hold whole numbers or bytes. Source: TIFF 6.0, section 2."""
_ENTRY_BYTES: Final = 12
_INSIDE_BYTES: Final = 4
"""What is no longer than this stands in the entry itself."""
_MOST_PAGES: Final = 1000
_MOST_ENTRIES: Final = 1000
_MOST_NUMBERS: Final = 1 << 20
"""Bounds of the work that a file of overlapping directories could ask for."""
_NOT_A_PAGE: Final = 1 | 4
"""Bits of NewSubfileType: a smaller copy of another page, and a mask."""


class _Field(NamedTuple):
    """Where a tag's numbers lie."""

    dtype: np.dtype[Any]
    length: int
    begin: int


class Directory:
    """One page's tags, as whole numbers; those that decide no pixels are not read."""

    def __init__(self, value: bytes, fields: Mapping[int, _Field], order: str) -> None:
        self._value = value
        self._fields = fields
        self.order = order

    def number(self, tag: int, default: int | None = None) -> int:
        """
        Return a tag's single, or first, number.

        Raises:
            BadPictureError: It is not there, and there is no default.
        """
        values = self.numbers(tag)
        if len(values):
            return int(values[0])
        if default is None:
            raise BadPictureError(Reason.DAMAGED, f"tag {tag} is missing")
        return default

    def numbers(self, tag: int) -> Integers:
        """
        Return all of a tag's numbers; none if it is not there.

        Raises:
            BadPictureError: They lie behind the end, or are too many to be of a picture.
        """
        if tag not in self._fields:
            return np.zeros(0, np.int64)
        dtype, length, begin = self._fields[tag]
        if length > _MOST_NUMBERS:
            raise BadPictureError(Reason.DAMAGED, f"tag {tag} of {length:,} numbers")
        if begin + length * dtype.itemsize > len(self._value):
            raise BadPictureError(Reason.TRUNCATED, f"tag {tag} lies behind the end")
        return np.frombuffer(self._value, dtype, length, begin).astype(np.int64)

    def has(self, tag: int) -> bool:
        """Say whether the tag is there."""
        return tag in self._fields


def pages(value: bytes) -> list[Directory]:
    """
    Read all pages; smaller copies and masks are none.

    Raises:
        BadPictureError: A directory is cut off, or the chain of them does not end.
    """
    order = "<" if value[:2] == b"II" else ">"
    found: list[Directory] = []
    seen: set[int] = set()
    (place,) = _unpacked(f"{order}L", value, 4)
    while place:
        if place in seen or len(seen) >= _MOST_PAGES:
            raise BadPictureError(Reason.DAMAGED, f"its directories go on for ever, at {place}")
        seen.add(place)
        directory, place = _directory(value, place, order)
        if not directory.number(SUBFILE, 0) & _NOT_A_PAGE:
            found.append(directory)
    return found


def _directory(value: bytes, place: int, order: str) -> tuple[Directory, int]:
    (count,) = _unpacked(f"{order}H", value, place)
    if count > _MOST_ENTRIES:
        raise BadPictureError(Reason.DAMAGED, f"a directory of {count:,} entries at {place}")
    end = place + 2 + _ENTRY_BYTES * count
    (following,) = _unpacked(f"{order}L", value, end)
    fields = dict(_fields(value, place + 2, count, order))
    return Directory(value, fields, order), following


def _fields(value: bytes, start: int, count: int, order: str) -> Iterator[tuple[int, _Field]]:
    for place in range(start, start + _ENTRY_BYTES * count, _ENTRY_BYTES):
        tag, kind, length = _unpacked(f"{order}HHL", value, place)
        if tag not in _READ or kind not in _TYPES:
            continue
        dtype, begin = np.dtype(f"{order}{_TYPES[kind]}"), place + 8
        if length * dtype.itemsize > _INSIDE_BYTES:
            (begin,) = _unpacked(f"{order}L", value, begin)
        yield tag, _Field(dtype, length, begin)


def _unpacked(form: str, value: bytes, place: int) -> tuple[Any, ...]:
    try:
        return struct.unpack_from(form, value, place)
    except struct.error as error:
        raise BadPictureError(
            Reason.TRUNCATED, f"a directory lies behind the end: {place}"
        ) from error
