"""Bring one channel to the model's size: stretched, with bars, or its centre only."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frameferry.config.preprocessing import PreprocessingSettings

Floats = NDArray[np.float32]
_FILTERS: Final = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
}


def fitted(
    plane: Floats, steps: PreprocessingSettings, size: tuple[int, int], white: float, fill: float
) -> Floats:
    """
    Fit one channel, and make shares of white of it.

    Args:
        plane: (height, width), from 0 to *white*.
        steps: How to fit it, and to interpolate.
        size: Height and width of the result.
        white: The number that is white in *plane*.
        fill: The share of white that bars have.

    Returns:
        (height, width) of *size*; each number between 0 and 1, also where an interpolation would
        overshoot.
    """
    if steps.fit == "crop":
        plane = _centre(plane, size)
    if steps.fit != "letterbox":
        return _resized(plane, steps, size, white)
    inner = _within(plane.shape, size)
    top, left = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    boxed = np.full(size, fill, np.float32)
    boxed[top : top + inner[0], left : left + inner[1]] = _resized(plane, steps, inner, white)
    return boxed


def _within(shape: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int]:
    """Return the largest size of this shape that *size* holds."""
    ratio = min(size[0] / shape[0], size[1] / shape[1])
    return max(1, round(shape[0] * ratio)), max(1, round(shape[1] * ratio))


def _centre(plane: Floats, size: tuple[int, int]) -> Floats:
    """Cut the largest centred part whose shape is that of *size*, as Keras does."""
    height, width = plane.shape
    inner_height = max(1, min(height, int(width * size[0] / size[1])))
    inner_width = max(1, min(width, int(height * size[1] / size[0])))
    top, left = (height - inner_height) // 2, (width - inner_width) // 2
    return plane[top : top + inner_height, left : left + inner_width]


def _resized(
    plane: Floats, steps: PreprocessingSettings, size: tuple[int, int], white: float
) -> Floats:
    # Divided when it is small, so that a large picture is not gone through once more.
    return (_interpolated(plane, steps, size) / np.float32(white)).clip(0, 1)


def _interpolated(plane: Floats, steps: PreprocessingSettings, size: tuple[int, int]) -> Floats:
    if plane.shape == size:
        return plane
    if not steps.antialias:
        return _between_four(plane, size)
    image = Image.fromarray(np.ascontiguousarray(plane))
    return np.asarray(image.resize(size[::-1], _FILTERS[steps.interpolation]))


def _between_four(plane: Floats, size: tuple[int, int]) -> Floats:
    """Interpolate between the four nearest pixels, whatever lies between two results."""
    above, below, down = _neighbours(plane.shape[0], size[0])
    before, behind, across = _neighbours(plane.shape[1], size[1])
    upper, lower = plane[above], plane[below]
    top = upper[:, before] + (upper[:, behind] - upper[:, before]) * across
    bottom = lower[:, before] + (lower[:, behind] - lower[:, before]) * across
    mixed: Floats = top + (bottom - top) * down[:, None]
    return mixed


def _neighbours(length: int, wanted: int) -> tuple[NDArray[np.intp], NDArray[np.intp], Floats]:
    """Say between which two pixels each result lies, and how far from the first."""
    place = (np.arange(wanted, dtype=np.float32) + 0.5) * np.float32(length / wanted) - 0.5
    first = np.floor(place)
    lower = np.maximum(first, 0).astype(np.intp)
    upper = np.minimum(np.ceil(place), length - 1).astype(np.intp)
    return lower, upper, (place - first).astype(np.float32)
