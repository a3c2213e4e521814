"""Scale shares of white to what the model learnt on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frameferry.config.preprocessing import PreprocessingSettings

Floats = NDArray[np.float32]
WHITE: Final = 255


class _Line(NamedTuple):
    """What becomes of pixels from 0 to 255: times a factor, plus a shift, one a channel."""

    factor: tuple[float, ...]
    shift: tuple[float, ...]
    is_bgr: bool = False


_SIGNED: Final = _Line((1 / 127.5,), (-1,))
_RAW: Final = _Line((1,), (0,))
_IMAGENET_STD: Final = (0.229, 0.224, 0.225)
_TORCH: Final = _Line(
    tuple(1 / (WHITE * std) for std in _IMAGENET_STD),
    tuple(-mean / std for mean, std in zip((0.485, 0.456, 0.406), _IMAGENET_STD, strict=True)),
)
_CAFFE: Final = _Line((1,), (-103.939, -116.779, -123.68), is_bgr=True)
LINES: Final[Mapping[str, _Line]] = {
    "unit": _Line((1 / WHITE,), (0,)),
    "signed": _SIGNED,
    "raw": _RAW,
    "convnext": _RAW,
    "densenet": _TORCH,
    "efficientnet": _RAW,
    "efficientnet_v2": _RAW,
    "inception_resnet_v2": _SIGNED,
    "inception_v3": _SIGNED,
    "mobilenet": _SIGNED,
    "mobilenet_v2": _SIGNED,
    "mobilenet_v3": _RAW,
    "nasnet": _SIGNED,
    "resnet": _CAFFE,
    "resnet_v2": _SIGNED,
    "vgg16": _CAFFE,
    "vgg19": _CAFFE,
    "xception": _SIGNED,
}
"""By the words of `scale`. Source: Keras 3.15, `preprocess_input` of each application."""


def scaled(pixels: NDArray[Any], word: str) -> Floats:
    """Scale pixels from 0 to 255, channels last, by one of the words of LINES."""
    line = LINES[word]
    if line.is_bgr:
        pixels = pixels[..., ::-1]
    factor, shift = as_floats(line.factor), as_floats(line.shift)
    return pixels.astype(np.float32) * factor + shift


def as_input(shares: Floats, steps: PreprocessingSettings) -> NDArray[Any]:
    """
    Make an input of (height, width, channels), shares of white: scale, type and order.

    The result owns its memory.
    """
    pixels = shares * np.float32(WHITE)
    made = _standardised(pixels) if steps.scale == "standardise" else scaled(pixels, steps.scale)
    if steps.mean is not None:
        made = made - as_floats(steps.mean)
    if steps.std is not None:
        made = made / as_floats(steps.std)
    if steps.dtype == "uint8":
        made = np.rint(made)
    if steps.order == "channels_first":
        made = made.transpose(2, 0, 1)
    return np.ascontiguousarray(made, steps.dtype)


def as_floats(numbers: Sequence[float]) -> Floats:
    """Make numbers a channel, or one for all, that an array of channels last takes."""
    return np.asarray(numbers, np.float32)


def _standardised(pixels: Floats) -> Floats:
    """Bring mean and deviation to 0 and 1; of a plain picture the deviation stays small."""
    spread = max(float(pixels.std(dtype=np.float64)), pixels.size**-0.5)
    return (pixels - np.float32(pixels.mean(dtype=np.float64))) / np.float32(spread)
