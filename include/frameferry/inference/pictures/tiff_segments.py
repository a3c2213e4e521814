"""
Unpack the strips or tiles of a TIFF's page into one array, each checked to be whole.

Readers of TIFF fill up with zeros what is missing. So each strip and tile is unpacked here, by the
codecs of imagecodecs, to exactly as many bytes as its rows have, or the picture is not whole.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from frameferry.inference.pictures import jpeg
from frameferry.inference.pictures.tiff_directory import Integers
from frameferry.inference.undecodable import BadPictureError, Reason

Array = NDArray[Any]
NONE, LZW, DEFLATE, OLD_DEFLATE, JPEG, PACKBITS, ZSTD = 1, 5, 8, 32946, 7, 32773, 50000
_SOI, _EOI = b"\xff\xd8", b"\xff\xd9"
_ADOBE: Final = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0"
_MOST_TABLE_BYTES: Final = 1 << 16
_WHOLE_BYTES: Final = (8, 16)


@dataclass(frozen=True, slots=True)
class Layout:
    """
    How a page's numbers are stored.

    Lengths are in pixels: `height` and `width` of the page, `rows` and `columns` of a strip or
    tile. `planes` is 1 where channels lie side by side, otherwise one a channel; `channels` is how
    many lie side by side.
    """

    height: int
    width: int
    rows: int
    columns: int
    planes: int
    channels: int
    bits: int
    compression: int
    is_tiled: bool
    is_differenced: bool
    is_mirrored: bool
    is_ycc: bool
    order: str
    tables: bytes

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers, once they are unpacked."""
        return np.dtype(np.uint8 if self.bits <= _WHOLE_BYTES[0] else np.uint16)

    @property
    def across(self) -> int:
        """How many strips or tiles lie beside each other."""
        return -(-self.width // self.columns)

    @property
    def down(self) -> int:
        """How many of them lie below each other."""
        return -(-self.height // self.rows)


class _Place(NamedTuple):
    """Where a segment goes: its plane, its first row and column, and how many rows it stores."""

    plane: int
    top: int
    left: int
    rows: int


def unpack(value: bytes, layout: Layout, offsets: Integers, sizes: Integers) -> Array:
    """
    Unpack a page to (height, width, channels of all planes).

    Args:
        value: The whole file.
        layout: How its numbers are stored; sizes were found within bounds.
        offsets: Where each strip or tile begins in *value*.
        sizes: How many bytes each has there.

    Raises:
        BadPictureError: A strip or tile is missing, lies behind the end, or is not whole.
    """
    count = layout.planes * layout.across * layout.down
    if not len(offsets) == len(sizes) == count:
        detail = f"{len(offsets)} offsets and {len(sizes)} sizes of {count:,} strips or tiles"
        raise BadPictureError(Reason.DAMAGED, detail)
    if np.any(offsets + sizes > len(value)):
        raise BadPictureError(Reason.TRUNCATED, "strips or tiles lie behind the end")
    if int(sizes.sum()) > len(value):
        raise BadPictureError(Reason.DAMAGED, "its strips or tiles lie on each other")
    shape = (layout.height, layout.width, layout.planes * layout.channels)
    whole = np.empty(shape, layout.dtype)
    for place, offset, size in zip(_places(layout), offsets.tolist(), sizes.tolist(), strict=True):
        part = _segment(value[offset : offset + size], layout, place)
        _lay(whole, part, layout, place)
    return whole


def _places(layout: Layout) -> Iterator[_Place]:
    for plane in range(layout.planes):
        for top in range(0, layout.height, layout.rows):
            rows = layout.rows if layout.is_tiled else min(layout.rows, layout.height - top)
            for left in range(0, layout.width, layout.columns):
                yield _Place(plane, top, left, rows)


def _lay(whole: Array, part: Array, layout: Layout, place: _Place) -> None:
    """Put a segment where it belongs; a tile may reach beyond the page."""
    first = place.plane * layout.channels
    target = whole[
        place.top : place.top + place.rows,
        place.left : place.left + layout.columns,
        first : first + layout.channels,
    ]
    target[...] = part[: target.shape[0], : target.shape[1]]


def _segment(data: bytes, layout: Layout, place: _Place) -> Array:
    shape = (place.rows, layout.columns, layout.channels)
    if layout.compression == JPEG:
        return _from_jpeg(data, layout, shape)
    row_bytes = -(-layout.columns * layout.channels * layout.bits // 8)
    plain = _decompressed(data, layout, place.rows * row_bytes)
    part = _numbers(plain, layout, shape)
    if layout.is_differenced:
        np.cumsum(part, axis=1, dtype=part.dtype, out=part)
    return part


def _decompressed(data: bytes, layout: Layout, wanted: int) -> bytes:
    import imagecodecs  # noqa: PLC0415 - libraries of many formats, for those who have one

    if layout.is_mirrored:
        data = bytes(imagecodecs.bitorder_decode(data))
    decode: Callable[[], Any] = {
        NONE: lambda: data,
        LZW: lambda: imagecodecs.lzw_decode(data, out=wanted),
        DEFLATE: lambda: _inflated(data, wanted),
        OLD_DEFLATE: lambda: _inflated(data, wanted),
        PACKBITS: lambda: imagecodecs.packbits_decode(data, out=wanted),
        ZSTD: lambda: imagecodecs.zstd_decode(data, out=wanted),
    }[layout.compression]
    plain = bytes(decode()[:wanted])
    if len(plain) < wanted:
        detail = f"a strip or tile ends after {len(plain):,} of {wanted:,} bytes"
        raise BadPictureError(Reason.TRUNCATED, detail)
    return plain


def _inflated(data: bytes, wanted: int) -> bytes:
    """Unpack no more than is wanted; what is unpacked whole is held against its Adler-32."""
    unpacker = zlib.decompressobj()
    plain = unpacker.decompress(data, wanted + 1)
    if len(plain) == wanted and not unpacker.eof:
        raise BadPictureError(Reason.TRUNCATED, "a strip or tile has no end")
    return plain


def _numbers(plain: bytes, layout: Layout, shape: tuple[int, int, int]) -> Array:
    """Make whole numbers of bytes; each row begins with a byte of its own."""
    if layout.bits in _WHOLE_BYTES:
        stored = layout.dtype.newbyteorder(layout.order)  # type: ignore[arg-type]
        # A copy, that differences may be added up in.
        return np.frombuffer(plain, stored).astype(layout.dtype).reshape(shape)
    import imagecodecs  # noqa: PLC0415 - as above

    unpacked: Array = imagecodecs.packints_decode(
        plain, layout.dtype, layout.bits, runlen=shape[1] * shape[2]
    )
    return unpacked.reshape(shape)


def _from_jpeg(data: bytes, layout: Layout, shape: tuple[int, int, int]) -> Array:
    """
    Decode a segment as the JPEG that it is, with the page's tables and the page's kind of colours.

    Source: TIFF Technical Note 2, "Abbreviated data streams".
    """
    if not (data.startswith(_SOI) and len(layout.tables) <= _MOST_TABLE_BYTES):
        raise BadPictureError(Reason.DAMAGED, "a strip or tile is no JPEG")
    tables = layout.tables.removeprefix(_SOI).removesuffix(_EOI)
    colours = _ADOBE + bytes([layout.is_ycc])
    # What the segment says of its colours does not count: a JFIF one would be taken for YCbCr.
    whole, _ = jpeg.plain(b"".join([_SOI, tables, data[len(_SOI) :]]), colours=colours)
    image = JpegImageFile(io.BytesIO(whole))
    if image.size != (shape[1], shape[0]) or len(image.getbands()) != shape[2]:
        detail = f"a strip or tile of {image.size} in {image.mode}, expected {shape[1::-1]}"
        raise BadPictureError(Reason.DAMAGED, detail)
    image.decodermaxblock = max(image.decodermaxblock, len(whole))
    return np.asarray(image).reshape(shape)
