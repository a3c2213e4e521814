"""Make pictures to be shown to a person: drawn anew from pixels, never a record's own bytes."""

from __future__ import annotations

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.inference.card import Spec, effective, find_model
from frameferry.inference.decode import decode
from frameferry.inference.feeding.cutting import upright
from frameferry.inference.pictures.picture import GREY, RGB
from frameferry.inference.pictures.reading import admitted, read
from frameferry.inference.preprocess import preprocess
from frameferry.inference.undecodable import BadPictureError, Undecodable

_MOST_PIXELS: Final = 320
"""The longer side of what is shown of a picture."""
_WHITE: Final = 255


def seen(value: bytes, settings: ModelSettings) -> bytes | None:
    """
    Draw what of a picture the model sees, as a PNG: its first tile, where it sees several.

    Before its values are scaled, or, of what a mapping under `preprocessing` makes, with its lowest
    number as black and its highest as white.

    Returns:
        None if it cannot be decoded, or a class of yours judges, which sees the bytes themselves.

    Raises:
        ModelMismatch: The model or its card cannot be read.
    """
    if settings.judge is not None:
        return None
    spec = effective(find_model(settings.name), settings)
    made = decode(value, spec) if spec.steps is None else preprocess(value, spec)
    if isinstance(made, Undecodable):
        return None
    if spec.steps is None:
        return _png(made)
    first = made[0]
    whole = first.transpose(1, 2, 0) if spec.steps.order == "channels_first" else first
    return _png(_spread(whole.astype(np.float64)))


def small(value: bytes, settings: ModelSettings) -> bytes | None:
    """Draw the whole picture small, in its own proportions: as a PNG; None if it is not decoded."""
    spec = Spec(
        height_pixels=1,
        width_pixels=1,
        preprocessing="raw",
        labels=(),
        output="softmax",
        unsure=None,
        threshold=0.0,
        max_pixels=settings.max_pixels,
        max_image_bytes=int(settings.max_image_bytes),
        grey_bits=settings.grey_bits,
        pictures=settings.pictures,
    )
    try:
        picture = read(*admitted(value, spec), spec)
    except BadPictureError:
        return None
    turn = 1 if spec.pictures.orientation == "ignore" else picture.turn
    samples = upright(picture.samples, turn).astype(np.float64)
    shown = (samples * _WHITE / picture.white).clip(0, _WHITE).astype(np.uint8)
    return _png(shown, most=_MOST_PIXELS)


def _spread(numbers: NDArray[np.float64]) -> NDArray[np.uint8]:
    low, high = float(numbers.min()), float(numbers.max())
    return ((numbers - low) * (_WHITE / ((high - low) or 1.0))).astype(np.uint8)


def _png(pixels: NDArray[Any], most: int | None = None) -> bytes:
    """Draw (height, width, channels): in colour where there are three or more, otherwise grey."""
    is_colour = pixels.shape[2] >= RGB
    shown = pixels[..., :RGB] if is_colour else pixels[..., GREY - 1]
    image = Image.fromarray(np.ascontiguousarray(shown))
    if most is not None:
        image.thumbnail((most, most))
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()
