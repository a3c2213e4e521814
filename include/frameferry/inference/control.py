"""The control: pictures whose answer is known, to tell a bad picture from a bad world."""

from __future__ import annotations

import io

from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.inference.card import effective, find_model


def control_pictures(settings: ModelSettings) -> list[tuple[str | None, bytes]]:
    """
    Read the pictures of the model's card, each with the label that a sound model gives it.

    If there is no card, or it has none, return one grey picture of the model's own input size. Its
    label is None: any will do.

    Raises:
        ModelMismatch: The model, its card or one of the pictures cannot be read.
    """
    found = find_model(settings.name)
    pictures: list[tuple[str | None, bytes]] = [*found.control_pictures()]
    if pictures:
        return pictures
    spec = effective(found, settings)
    target = io.BytesIO()
    Image.new("RGB", (spec.width_pixels, spec.height_pixels), (128, 128, 128)).save(target, "PNG")
    return [(None, target.getvalue())]
