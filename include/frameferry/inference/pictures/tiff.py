"""
One page of a TIFF: unsigned whole numbers of 1 to 16 bits, in strips or tiles, planes or not.

What the tags say of the numbers is applied here: white that is zero, palettes, depth, alpha.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.card import Spec
from frameferry.inference.pictures import tiff_directory as tags
from frameferry.inference.pictures.exif import TURNS
from frameferry.inference.pictures.picture import (
    BYTE_BITS,
    GREY,
    RGB,
    WORD_BITS,
    Picture,
    refuse_size,
    used_bits,
)
from frameferry.inference.pictures.tiff_directory import Directory, pages
from frameferry.inference.pictures.tiff_segments import (
    DEFLATE,
    JPEG,
    LZW,
    NONE,
    OLD_DEFLATE,
    PACKBITS,
    ZSTD,
    Layout,
    unpack,
)
from frameferry.inference.undecodable import BadPictureError, Reason

COMPRESSIONS: Final = {
    NONE: "none",
    LZW: "LZW",
    JPEG: "JPEG",
    DEFLATE: "Deflate",
    OLD_DEFLATE: "Deflate",
    PACKBITS: "PackBits",
    ZSTD: "Zstandard",
}
"""The allow-list of tag 259: readers take others for black, or fill up what is missing."""
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCC = 0, 1, 2, 3, 6
_COLOURS: Final = {_WHITE_IS_ZERO: GREY, _BLACK_IS_ZERO: GREY, _RGB: RGB, _PALETTE: GREY, _YCC: RGB}
_BITS: Final = frozenset({1, 2, 4, 8, 10, 12, 14, 16})
_WHITE: Final = 255
_UNSIGNED, _PLANES, _MIRRORED, _DIFFERENCES = 1, 2, 2, 2


def read_tiff(value: bytes, spec: Spec) -> Picture:
    """
    Decode one page.

    Raises:
        BadPictureError: It ends early, is damaged or too large, has several pages and none is
            chosen, not the chosen one, or is stored in a way that is not read.
    """
    page = _chosen(pages(value), spec.pictures.page)
    layout = _layout(page, spec)
    photometric = page.number(tags.PHOTOMETRIC, _BLACK_IS_ZERO)
    where = (tags.TILE_OFFSETS, tags.TILE_BYTES)
    if not layout.is_tiled:
        where = (tags.STRIP_OFFSETS, tags.STRIP_BYTES)
    offsets, sizes = (page.numbers(tag) for tag in where)
    samples = unpack(value, layout, offsets, sizes)
    turn = page.number(tags.ORIENTATION, 1)
    return _as_seen(samples, layout.bits, photometric, page, spec, turn if turn in TURNS else 1)


def _chosen(found: list[Directory], page: int | None) -> Directory:
    if not found:
        raise BadPictureError(Reason.DAMAGED, "no page in it")
    if page is None:
        if len(found) > 1:
            detail = f"{len(found)} pages; model.pictures.page says which one is judged"
            raise BadPictureError(Reason.ANIMATED, detail)
        return found[0]
    if page >= len(found):
        detail = f"{len(found)} pages, from 0; model.pictures.page asks for {page}"
        raise BadPictureError(Reason.UNFIT, detail)
    return found[page]


def _layout(page: Directory, spec: Spec) -> Layout:
    width, height = page.number(tags.WIDTH), page.number(tags.HEIGHT)
    channels, bits = page.number(tags.CHANNELS, 1), page.number(tags.BITS, 1)
    refuse_size(width, height, spec, channels)
    _refuse_kinds(page, channels, bits)
    is_tiled = page.has(tags.TILE_WIDTH)
    rows = page.number(tags.TILE_HEIGHT if is_tiled else tags.ROWS_PER_STRIP, height)
    columns = page.number(tags.TILE_WIDTH) if is_tiled else width
    if not is_tiled:
        rows = min(rows, height)
    # A tile may be larger than the page, but takes memory, too.
    refuse_size(columns, rows, spec, channels)
    is_planar = channels > 1 and page.number(tags.PLANAR, 1) == _PLANES
    return Layout(
        height=height,
        width=width,
        rows=rows,
        columns=columns,
        planes=channels if is_planar else 1,
        channels=1 if is_planar else channels,
        bits=bits,
        compression=page.number(tags.COMPRESSION, NONE),
        is_tiled=is_tiled,
        is_differenced=page.number(tags.PREDICTOR, 1) == _DIFFERENCES,
        is_mirrored=page.number(tags.FILL_ORDER, 1) == _MIRRORED,
        is_ycc=page.number(tags.PHOTOMETRIC, 1) == _YCC,
        order=page.order,
        tables=page.numbers(tags.JPEG_TABLES).astype(np.uint8).tobytes(),
    )


def _refuse_kinds(page: Directory, channels: int, bits: int) -> None:
    """Refuse what is stored in a way that nobody reads here, before it is read."""
    compression = page.number(tags.COMPRESSION, NONE)
    if compression not in COMPRESSIONS:
        names = ", ".join(dict.fromkeys(COMPRESSIONS.values()))
        detail = f"TIFF with compression {compression}; read are {names}"
        raise BadPictureError(Reason.FORMAT_NOT_ALLOWED, detail)
    photometric = page.number(tags.PHOTOMETRIC, _BLACK_IS_ZERO)
    predictor = page.number(tags.PREDICTOR, 1)
    is_whole = bits in {BYTE_BITS, WORD_BITS}
    problems = {
        f"photometric {photometric}": photometric not in _COLOURS
        or (photometric == _YCC and compression != JPEG),
        f"{bits} bits": bits not in _BITS or (compression == JPEG and bits != BYTE_BITS),
        "channels of different depths": len(set(page.numbers(tags.BITS).tolist())) > 1,
        "floats or signed numbers": bool(
            set(page.numbers(tags.SAMPLE_FORMAT).tolist()) - {_UNSIGNED}
        ),
        f"predictor {predictor}": predictor != 1 and not (predictor == _DIFFERENCES and is_whole),
        f"{channels} channels": channels < _COLOURS.get(photometric, 1),
        "a palette of more than 8 bits": photometric == _PALETTE and bits > BYTE_BITS,
    }
    if found := [problem for problem, is_there in problems.items() if is_there]:
        raise BadPictureError(Reason.FORMAT_NOT_ALLOWED, f"TIFF with {', '.join(found)}")


def _as_seen(
    samples: NDArray[Any], bits: int, photometric: int, page: Directory, spec: Spec, turn: int
) -> Picture:
    if photometric == _PALETTE:
        return Picture(_looked_up(samples, bits, page), BYTE_BITS, RGB, turn)
    if bits < BYTE_BITS:
        samples, bits = samples * np.uint8(_WHITE // ((1 << bits) - 1)), BYTE_BITS
    used = used_bits(bits, spec)
    colours = _COLOURS[photometric]
    if samples.shape[2] > colours + 1:
        colours = samples.shape[2]
    if photometric == _WHITE_IS_ZERO:
        white = samples.dtype.type((1 << used) - 1)
        samples[..., :colours] = white - np.minimum(samples[..., :colours], white)
    return Picture(samples, used, colours, turn)


def _looked_up(samples: NDArray[Any], bits: int, page: Directory) -> NDArray[np.uint8]:
    palette = page.numbers(tags.PALETTE)
    if len(palette) != RGB << bits:
        raise BadPictureError(Reason.DAMAGED, f"a palette of {len(palette)} numbers")
    # Old writers fill 8 of its 16 bits.
    shift = BYTE_BITS if int(palette.max()) >= 1 << BYTE_BITS else 0
    colours = (palette >> shift).astype(np.uint8).reshape(RGB, -1).T
    found: NDArray[np.uint8] = colours[samples[..., 0]]
    return found
