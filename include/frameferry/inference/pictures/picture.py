"""A decoded picture at its full depth, and what bounds it before it is decoded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.card import Spec
from frameferry.inference.undecodable import BadPictureError, Reason

Samples = NDArray[np.uint8] | NDArray[np.uint16]
BYTE_BITS: Final = 8
WORD_BITS: Final = 16
GREY: Final = 1
RGB: Final = 3
_SAMPLES_PER_PIXEL: Final = 4
"""With more channels than this a picture may have fewer pixels, so that memory stays bounded."""


@dataclass(frozen=True, slots=True)
class Picture:
    """
    One picture's numbers as they are stored, neither turned nor scaled.

    `samples` is (height, width, channels); white is (1 << bits) - 1, and larger numbers are white
    too. The first `colours` channels are grey (1) or red, green and blue (3); any other number has
    no meaning of its own. What follows them is alpha. `turn` is the EXIF orientation, 1 to 8.
    """

    samples: Samples
    bits: int
    colours: int
    turn: int = 1

    @property
    def white(self) -> int:
        """The number that is white."""
        return (1 << self.bits) - 1


def refuse_size(width: int, height: int, spec: Spec, channels: int = RGB) -> None:
    """
    Refuse a picture by what its header announces.

    Raises:
        BadPictureError: It has no pixels, more than the pipeline allows, or too many channels.
    """
    if min(width, height, channels) < 1:
        raise BadPictureError(Reason.DAMAGED, f"{width} x {height} pixels, {channels} channels")
    pixels = width * height
    if max(pixels, pixels * channels // _SAMPLES_PER_PIXEL) > spec.max_pixels:
        many = f" of {channels} channels" if channels > _SAMPLES_PER_PIXEL else ""
        detail = f"{width} x {height} = {pixels:,} pixels{many}, at most {spec.max_pixels:,}"
        raise BadPictureError(Reason.TOO_MANY_PIXELS, detail)


def of_samples(samples: Samples, bits: int, spec: Spec, *, turn: int = 1) -> Picture:
    """
    Make a picture of an array whose channels tell what they are by their number.

    Args:
        samples: (height, width) or (height, width, channels).
        bits: How many bits a number has; of 16 those that `model.grey_bits` says are used.
        spec: The pipeline's.
        turn: The EXIF orientation.
    """
    if samples.ndim == len(("height", "width")):
        samples = samples[..., None]
    count: int = samples.shape[2]
    colours = {GREY + 1: GREY, RGB + 1: RGB}.get(count, count)
    return Picture(samples, used_bits(bits, spec), colours, turn)


def used_bits(bits: int, spec: Spec) -> int:
    """Say how many bits are used of numbers that have *bits*."""
    return spec.grey_bits if bits == WORD_BITS else bits
