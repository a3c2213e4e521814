"""Check that a PNG is whole, and find what decides its pixels. The bytes are not trusted."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from PIL import ImageFile

from frameferry.inference.undecodable import BadPictureError, Reason

_SIGNATURE_BYTES: Final = 8
_BLOCK_BYTES: Final = 1 << 20
_MAX_CHUNKS: Final = 200_000
"""More than any camera writes; each costs a look here, and one in the decoder."""
_IHDR, _DEPTH_AND_COLOUR = slice(12, 29), slice(24, 26)
_COLOUR_TYPE, _INDEXED = slice(25, 26), b"\3"
_TOLD: Final = frozenset({b"eXIf", b"acTL"})
_ACTL_BYTES, _MOST_FRAMES = 8, 1 << 31
_END: Final = b"IEND\xae\x42\x60\x82"
_CHANNELS: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""Numbers per pixel, by colour type. Source: PNG (W3C, third edition), 11.2.1 IHDR."""
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


class Plain(NamedTuple):
    """What decides a PNG's pixels: the bytes to decode, its EXIF, and how many frames."""

    value: bytes
    exif: bytes
    frames: int


def plain(value: bytes) -> Plain:
    """
    Keep the critical chunks of a PNG, and check each against its CRC.

    Pillow does not check the chunks that hold the pixels. Ancillary chunks (text, profiles, times),
    whole or broken, are never unpacked, nor is a palette that only proposes colours. Two of them
    are read: how the picture is turned, and whether it moves. What comes after the last critical
    chunk is not a part of the picture.

    Raises:
        BadPictureError: It ends early, or a critical chunk is damaged.
    """
    kept, beside, start, number = [value[:_SIGNATURE_BYTES]], _Beside(), _SIGNATURE_BYTES, 0
    kind, unkept, has_palette = b"", start, value[_COLOUR_TYPE] == _INDEXED
    while kind != b"IEND":
        length, kind = int.from_bytes(value[start : start + 4]), value[start + 4 : start + 8]
        end, number = start + 12 + length, number + 1
        if end > len(value) or number > _MAX_CHUNKS:
            raise _without_end(value, start, number)
        if (kind[:1].islower() and kind.isalpha()) or (kind == b"PLTE" and not has_palette):
            if unkept < start:
                kept.append(value[unkept:start])
            unkept = end
            if kind in _TOLD and _is_whole(value, start, end):
                beside.note(kind, value[start + 8 : end - 4])
        elif not _is_whole(value, start, end):
            raise BadPictureError(Reason.DAMAGED, f"wrong CRC of chunk {kind!r} at {start}")
        beside.is_open = beside.is_open and kind != b"IDAT"
        start = end
    kept.append(value[unkept:start])
    return Plain(b"".join(kept), beside.exif, beside.frames)


class _Beside:
    """What ancillary chunks tell about the picture. `is_open` until its pixels begin."""

    def __init__(self) -> None:
        self.is_open = True
        self.exif = b""
        self._frames: list[int] = []

    @property
    def frames(self) -> int:
        """Frames, if exactly one valid chunk before the pixels tells them; otherwise 1."""
        return self._frames[0] if len(self._frames) == 1 else 1

    def note(self, kind: bytes, content: bytes) -> None:
        """Note a chunk whose CRC fits."""
        if kind == b"eXIf":
            self.exif = self.exif or content
        elif self.is_open and len(content) >= _ACTL_BYTES:
            frames = int.from_bytes(content[:4])
            self._frames += [frames] if 0 < frames <= _MOST_FRAMES else []


def _is_whole(value: bytes, start: int, end: int) -> bool:
    # Pillow's verify() does not check the CRC of IEND, and takes a damaged second IHDR for a cut.
    crc = int.from_bytes(value[end - 4 : end])
    return zlib.crc32(memoryview(value)[start + 4 : end - 4]) == crc


def _without_end(value: bytes, start: int, number: int) -> BadPictureError:
    """Tell a picture that ends early from one that has its end but a wrong length before it."""
    if number > _MAX_CHUNKS:
        return BadPictureError(Reason.DAMAGED, f"more than {_MAX_CHUNKS:,} chunks")
    if value.find(_END, start + 1) >= 0:
        return BadPictureError(Reason.DAMAGED, f"a chunk at {start} longer than the picture")
    return BadPictureError(Reason.TRUNCATED, "no whole IEND chunk")


def is_deep_grey_alpha(value: bytes) -> bool:
    """Say whether a PNG holds 16-bit grey with alpha: Pillow reads only its upper bytes."""
    return value[_DEPTH_AND_COLOUR] == b"\x10\4"


def is_deep_colour(value: bytes) -> bool:
    """Say whether a PNG holds 16-bit colour: Pillow reads only its upper bytes."""
    return value[_DEPTH_AND_COLOUR] in {b"\x10\2", b"\x10\6"}


def with_both_bytes(value: bytes) -> bytes:
    """Declare 16-bit grey with alpha as 8-bit RGBA: both have four bytes per pixel."""
    header = value[_IHDR.start : _DEPTH_AND_COLOUR.start] + b"\x08\6" + value[26 : _IHDR.stop]
    crc = zlib.crc32(header).to_bytes(4)
    return value[: _IHDR.start] + header + crc + value[_IHDR.stop + 4 :]


def refuse_short(image: ImageFile.ImageFile, value: bytes) -> None:
    """
    Refuse a picture whose pixels end, in good order, before its last row.

    Pillow leaves the missing rows black. So the pixels are unpacked once more, and counted, only if
    the last row is black or the rows come in several passes.

    Args:
        image: The picture, loaded or not.
        value: Its bytes, as `plain` left them.
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
    """Say how many bytes the header announces, with one filter byte per row."""
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
