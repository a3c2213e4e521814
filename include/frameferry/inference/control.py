"""The control: pictures whose answer is known, to tell a bad picture from a bad world."""

from __future__ import annotations

import io

from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.inference.card import FoundModel, Spec, effective, find_model, mismatch
from frameferry.inference.preprocess import preprocess
from frameferry.inference.undecodable import Undecodable


def control_pictures(settings: ModelSettings) -> list[tuple[str | None, bytes]]:
    """
    Read the pictures of the model's card, each with the label that a sound model gives it.

    If there is no card, or it has none, return one grey picture of the model's own input size. Its
    label is None: any will do. Return none at all if the pipeline takes no such picture.

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
    grey = target.getvalue()
    return [] if isinstance(preprocess(grey, spec), Undecodable) else [(None, grey)]


def refuse_unfit_controls(found: FoundModel, spec: Spec) -> None:
    """
    Refuse a card whose controls could not be judged: they would blame the world for ever.

    Raises:
        ModelMismatch: Names the picture, and why it cannot be judged as the pipeline judges.
    """
    for control, (_, value) in zip(found.card.control, found.control_pictures(), strict=True):
        made = preprocess(value, spec)
        if isinstance(made, Undecodable):
            what = f"control: {control.picture} cannot be judged: {made.reason}, {made.detail}"
            remedy = (
                "Let control: in its card name pictures like those of the pipeline, which its "
                "model.pictures, model.preprocessing and bounds of size let in"
            )
            raise mismatch(found.path, what, remedy)
