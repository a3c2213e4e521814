"""Make pictures to be shown to a person: drawn anew from pixels, never a record's own bytes."""

from __future__ import annotations

import io
import warnings
from dataclasses import replace
from typing import Final

from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.inference.card import Spec, effective, find_model
from frameferry.inference.decode import decode
from frameferry.inference.undecodable import Undecodable

_MOST_PIXELS: Final = 320
"""The longer side of what is shown of a picture."""
_ORIENTATION: Final = 0x0112
_LYING: Final = frozenset({5, 6, 7, 8})
_FORMATS: Final = ("JPEG", "PNG", "BMP")


def seen(value: bytes, settings: ModelSettings) -> bytes | None:
    """
    Draw what of a picture the model sees, before its values are scaled: as a PNG.

    Returns:
        None if it cannot be decoded, or a class of yours judges, which sees the bytes themselves.

    Raises:
        ModelMismatch: The model or its card cannot be read.
    """
    if settings.judge is not None:
        return None
    return _drawn(value, effective(find_model(settings.name), settings))


def small(value: bytes, settings: ModelSettings) -> bytes | None:
    """Draw the whole picture small, in its own proportions: as a PNG; None if it is not decoded."""
    width, height = _size(value)
    if not width or not height:
        return None
    scale = min(1.0, _MOST_PIXELS / max(width, height))
    spec = Spec(
        height_pixels=max(1, round(height * scale)),
        width_pixels=max(1, round(width * scale)),
        preprocessing="raw",
        labels=(),
        output="softmax",
        unsure=None,
        threshold=0.0,
        max_pixels=settings.max_pixels,
        max_image_bytes=int(settings.max_image_bytes),
    )
    return _drawn(value, replace(spec, grey_bits=settings.grey_bits))


def _drawn(value: bytes, spec: Spec) -> bytes | None:
    pixels = decode(value, spec)
    if isinstance(pixels, Undecodable):
        return None
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


def _size(value: bytes) -> tuple[int, int]:
    """Read width and height from the header, as they are once the picture is upright; else 0."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(io.BytesIO(value), formats=_FORMATS) as image:
                width, height = image.size
                is_lying = image.getexif().get(_ORIENTATION) in _LYING
        except Exception:  # noqa: BLE001 - a header of any kind
            return 0, 0
    return (height, width) if is_lying else (width, height)
