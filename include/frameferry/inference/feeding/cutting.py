"""Turn a picture upright, cut a region out of it, and that into tiles. Nothing is copied."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameferry.config.preprocessing import RegionSettings, TilesSettings
from frameferry.inference.undecodable import BadPictureError, Reason

Array = NDArray[Any]
MOST_TILES: Final = 1024
"""More than any picture needs; each costs a run of the model."""
_TRANSPOSED: Final = frozenset({5, 6, 7, 8})
_LEFT_TO_RIGHT: Final = frozenset({2, 3, 6, 7})
_TOP_TO_BOTTOM: Final = frozenset({3, 4, 7, 8})


def upright(pixels: Array, turn: int) -> Array:
    """
    Turn (height, width, channels) as an EXIF orientation says.

    Source: Exif 2.32, tag 274: where the stored first row and first column are.
    """
    if turn in _TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
    if turn in _LEFT_TO_RIGHT:
        pixels = pixels[:, ::-1]
    return pixels[::-1] if turn in _TOP_TO_BOTTOM else pixels


def cut(pixels: Array, region: RegionSettings | None) -> Array:
    """
    Cut the region out.

    Raises:
        BadPictureError: It passes the picture's edges.
    """
    if region is None:
        return pixels
    height, width = pixels.shape[:2]
    across, down = (width, height) if region.unit == "share" else (1, 1)
    left, right = round(region.left * across), round((region.left + region.width) * across)
    top, bottom = round(region.top * down), round((region.top + region.height) * down)
    if right > width or bottom > height or left == right or top == bottom:
        detail = (
            f"the region {left}..{right} x {top}..{bottom} is not within {width} x {height} pixels"
        )
        raise BadPictureError(Reason.UNFIT, detail)
    return pixels[top:bottom, left:right]


def tiles(pixels: Array, settings: TilesSettings | None) -> list[Array]:
    """
    Cut into tiles that cover all of it, row by row; the last ones overlap as far as they must.

    A side that is shorter than a tile's is one tile's whole side.

    Raises:
        BadPictureError: There are more than MOST_TILES.
    """
    if settings is None:
        return [pixels]
    height, width = pixels.shape[:2]
    tops = _starts(height, settings.height_pixels, settings.overlap_pixels)
    lefts = _starts(width, settings.width_pixels, settings.overlap_pixels)
    if len(tops) * len(lefts) > MOST_TILES:
        detail = f"{len(tops) * len(lefts):,} tiles, at most {MOST_TILES:,}"
        raise BadPictureError(Reason.UNFIT, detail)
    return [
        pixels[top : top + settings.height_pixels, left : left + settings.width_pixels]
        for top in tops
        for left in lefts
    ]


def _starts(length: int, size: int, overlap: int) -> list[int]:
    """Say where tiles of a size begin: evenly, the first at 0 and the last at the end."""
    if length <= size:
        return [0]
    count = 1 + -(-(length - size) // (size - overlap))
    return [int(start) for start in np.linspace(0, length - size, count).round()]
