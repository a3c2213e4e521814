"""Is a PNG whole? Pillow does not say everything. The bytes are not trusted."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final

from PIL import ImageFile

from frameferry.inference.undecodable import BadPictureError, Reason

_SIGNATURE_BYTES: Final = 8
_BLOCK_BYTES: Final = 1 << 20
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers a pixel, by colour type. Source: PNG (W3C, third edition), 11.2.1 IHDR."""
_WHOLE: Final = ((0, 0, 1, 1),)
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""First column and row of each pass, and its steps. Source: same, 8.1 Interlace methods."""


def refuse_damaged(value: bytes) -> None:
    """
    Hold each critical chunk against its CRC: Pillow does not, for the pixels.

    What stands behind the last one is no part of the picture.
    """
    kind, start = b"", _SIGNATURE_BYTES
    while kind != b"IEND":
        length, kind = int.from_bytes(value[start : start + 4]), value[start + 4 : start + 8]
        end = start + 8 + length
        if end + 4 > len(value):
            raise BadPictureError(Reason.TRUNCATED, "no whole IEND chunk")
        crc = int.from_bytes(value[end : end + 4])
        if kind[:1].isupper() and zlib.crc32(value[start + 4 : end]) != crc:
            raise BadPictureError(Reason.DAMAGED, f"wrong CRC of chunk {kind!r} at {start}")
        start = end + 4


def refuse_short(image: ImageFile.ImageFile, value: bytes) -> None:
    """
    Refuse a picture whose pixels end, in good order, after some of its rows.

    Pillow leaves the others black. So only where the last row is black, or the rows come in
    several passes, are the pixels unpacked once more, and counted.

    Args:
        image: The picture, not loaded yet or loaded.
        value: Its bytes, which passed `refuse_damaged`.
    """
    image.load()
    width, height = image.size
    last = image.crop((0, height - 1, width, height))
    is_interlaced = bool(image.info.get("interlace"))
    if last.getbbox(alpha_only=False) is not None and not is_interlaced:
        return
    wanted, found = _pixel_bytes(value), 0
    for found in _unpacked(value):
        if found >= wanted:
            return
    detail = f"its pixels end after {found:,} of {wanted:,} bytes"
    raise BadPictureError(Reason.TRUNCATED, detail)


def _pixel_bytes(value: bytes) -> int:
    """Say how many bytes the header announces, a filter byte a row with them."""
    header = value[_SIGNATURE_BYTES + 8 :]
    width, height = int.from_bytes(header[:4]), int.from_bytes(header[4:8])
    bits = header[8] * _CHANNELS[header[9]]
    total = 0
    for left, top, across, down in _ADAM7 if header[12] else _WHOLE:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            total += rows * (1 + -(-columns * bits // 8))
    return total


def _unpacked(value: bytes) -> Iterator[int]:
    """Unpack block by block; yield how many bytes there are by then."""
    unpacker, total, start = zlib.decompressobj(), 0, _SIGNATURE_BYTES
    while start < len(value) and not unpacker.eof:
        end = start + 8 + int.from_bytes(value[start : start + 4])
        rest = value[start + 8 : end] if value[start + 4 : start + 8] == b"IDAT" else b""
        while rest and not unpacker.eof:
            total += len(unpacker.decompress(rest, _BLOCK_BYTES))
            yield total
            rest = unpacker.unconsumed_tail
        start = end + 4
