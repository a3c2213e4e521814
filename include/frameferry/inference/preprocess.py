"""
Make the model's input of a picture's bytes: the one function for judging and for training.

    from frameferry.inference.preprocess import card_spec, preprocess

    spec = card_spec(Path("models/press/1/card.yaml"))
    inputs = preprocess(Path("press-0001.tif").read_bytes(), spec)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frameferry.config.preprocessing import PreprocessingSettings
from frameferry.config.settings import ModelSettings
from frameferry.inference.card import FoundModel, Spec, effective, read_card
from frameferry.inference.decode import decode_and_remark, remark
from frameferry.inference.feeding.channels import chosen, planes
from frameferry.inference.feeding.cutting import cut, tiles, upright
from frameferry.inference.feeding.fitting import fitted
from frameferry.inference.feeding.scaling import WHITE, as_floats, as_input, scaled
from frameferry.inference.pictures.picture import Picture
from frameferry.inference.pictures.reading import DECODER_ERRORS, admitted, as_bad, read, short
from frameferry.inference.undecodable import BadPictureError, Undecodable

Inputs = NDArray[Any]


def card_spec(card: Path, **settings: Any) -> Spec:  # noqa: ANN401 - the keys of `model:`
    """
    Read how a model is to be fed from its card, before there is a model.

    Args:
        card: Path of `card.yaml`.
        settings: Keys of a pipeline's `model:`, which win over the card.

    Raises:
        ModelMismatch: The card is wrong, or does not say all that is needed.
    """
    found = FoundModel(card.parent, "keras", read_card(card), card)
    return effective(found, ModelSettings(path=str(card.parent), **settings))


def preprocess(value: bytes, spec: Spec) -> Inputs | Undecodable:
    """
    Make the model's input of one picture, exactly as a pipeline does.

    Never raises on a picture's content. Not for two threads at once.

    Returns:
        (tiles, *spec.input_shape) of *spec.input_dtype*, one tile where none are asked for; or why
        there is none.
    """
    return preprocess_and_remark(value, spec)[0]


def preprocess_and_remark(value: bytes, spec: Spec) -> tuple[Inputs | Undecodable, str]:
    """Make the model's input as `preprocess` does, with a remark on the picture, mostly empty."""
    if spec.steps is None:
        pixels, said = decode_and_remark(value, spec)
        if isinstance(pixels, Undecodable):
            return pixels, said
        return scaled(pixels, str(spec.preprocessing))[None], said
    try:
        picture = read(*admitted(value, spec), spec)
        return _inputs(picture, spec, spec.steps), remark(picture, spec)
    except BadPictureError as bad:
        return short(bad.why), ""
    except DECODER_ERRORS as error:
        return as_bad(error).why, ""


def noise(count: int, spec: Spec) -> Inputs:
    """Make inputs of pictures that show nothing: (count, *spec.input_shape)."""
    channels = 3 if spec.steps is None else spec.steps.channel_count
    shape = (count, spec.height_pixels, spec.width_pixels, channels)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    if (steps := spec.steps) is None:
        return scaled(pixels, str(spec.preprocessing))
    return np.stack([as_input(one.astype(np.float32) / WHITE, steps) for one in pixels])


def _inputs(picture: Picture, spec: Spec, steps: PreprocessingSettings) -> Inputs:
    turn = 1 if spec.pictures.orientation == "ignore" else picture.turn
    whole = cut(upright(picture.samples, turn), steps.region)
    numbers = chosen(picture, steps)
    made = (
        _input(planes(tile, numbers, picture.white), picture.white, spec, steps)
        for tile in tiles(whole, steps.tiles)
    )
    return np.stack(list(made))


def _input(
    channels: list[NDArray[np.float32]], white: int, spec: Spec, steps: PreprocessingSettings
) -> Inputs:
    size = (spec.height_pixels, spec.width_pixels)
    fills = np.broadcast_to(as_floats(steps.fill) / WHITE, len(channels)).tolist()
    fits = [
        fitted(plane, steps, size, white, fill) for plane, fill in zip(channels, fills, strict=True)
    ]
    return as_input(np.stack(fits, axis=-1), steps)
