"""Choose colours or channels of a picture."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameferry.config.preprocessing import PreprocessingSettings
from frameferry.inference.pictures.picture import GREY, RGB, Picture
from frameferry.inference.undecodable import BadPictureError, Reason

Array = NDArray[Any]
Floats = NDArray[np.float32]
_LUMA: Final = (0.299, 0.587, 0.114)
"""Source: ITU-R BT.601; the weights of Pillow, OpenCV and TensorFlow."""
_ORDERS: Final = {"rgb": (0, 1, 2), "bgr": (2, 1, 0)}


def chosen(picture: Picture, steps: PreprocessingSettings) -> tuple[int, ...] | None:
    """
    Say which stored channels are the input's; None for grey that is made of three.

    Raises:
        BadPictureError: The picture has no such channels.
    """
    count, colours = picture.samples.shape[2], picture.colours
    if isinstance(steps.channels, tuple):
        if max(steps.channels) >= count:
            detail = f"{count} channels; preprocessing.channels asks for {list(steps.channels)}"
            raise BadPictureError(Reason.UNFIT, detail)
        return steps.channels
    if colours not in {GREY, RGB}:
        detail = f"{count} channels, neither grey nor colour; preprocessing.channels lists which"
        raise BadPictureError(Reason.UNFIT, detail)
    if steps.channels == "grey":
        return (0,) if colours == GREY else None
    return _ORDERS[steps.channels] if colours == RGB else (0,) * RGB


def planes(pixels: Array, numbers: tuple[int, ...] | None, white: int) -> list[Floats]:
    """
    Take the chosen channels out of (height, width, channels), as floats from 0 to *white*.

    Each is converted once, however often it is asked for.
    """
    if numbers is None:
        weighted = (
            np.float32(weight) * _plane(pixels[..., number], white)
            for number, weight in enumerate(_LUMA)
        )
        return [sum(weighted, start=np.zeros(pixels.shape[:2], np.float32))]
    made = {number: _plane(pixels[..., number], white) for number in set(numbers)}
    return [made[number] for number in numbers]


def _plane(plane: Array, white: int) -> Floats:
    if white < np.iinfo(plane.dtype).max:
        plane = np.minimum(plane, plane.dtype.type(white))
    return plane.astype(np.float32)
