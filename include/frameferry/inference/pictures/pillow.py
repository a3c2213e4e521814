"""
JPEG, PNG, BMP and the first frame of a GIF, by Pillow.

A picture must be whole. libjpeg invents grey for what is missing, so the decoder never sees the end
marker of a JPEG: without the marker it asks for more (see `jpeg.plain`). What is around the pixels
(text, profiles, resolution, times, whole or broken) is not read, and so condemns no picture.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from frameferry.config.pictures import Format
from frameferry.inference.card import Spec
from frameferry.inference.pictures import jpeg, png
from frameferry.inference.pictures.exif import orientation
from frameferry.inference.pictures.picture import (
    BYTE_BITS,
    GREY,
    RGB,
    WORD_BITS,
    Picture,
    refuse_size,
    used_bits,
)
from frameferry.inference.undecodable import BadPictureError, Reason

DECODERS: Final[dict[Format, type[ImageFile.ImageFile]]] = {
    "jpeg": JpegImageFile,
    "png": PngImageFile,
    "bmp": BmpImageFile,
    "gif": GifImageFile,
}
DEEP_GREY: Final = frozenset({"I", "I;16", "I;16L", "I;16B"})
_AS_STORED: Final = frozenset({"L", "LA", "RGB", "RGBA"})


@dataclass(frozen=True, slots=True)
class Opened:
    """A picture whose header was read and found within bounds, but none of its pixels."""

    image: ImageFile.ImageFile
    value: bytes
    turn: int
    is_pair: bool

    def load(self) -> Image.Image:
        """
        Decode the pixels; 16-bit grey is `I;16`, 16-bit colour keeps its upper 8 bits.

        Raises:
            BadPictureError: The pixels of a PNG end early.
        """
        if isinstance(self.image, PngImageFile):
            png.refuse_short(self.image, self.value)
            if self.is_pair:
                return _of_both_bytes(self.image)
        self.image.load()
        return self.image


def opened(kind: Format, value: bytes, spec: Spec) -> Opened:
    """
    Open one picture, but decode nothing.

    Raises:
        BadPictureError: It is not whole, has too many pixels, or several frames.
    """
    exif, frames, is_pair = b"", 1, False
    if kind == "jpeg":
        value, exif = jpeg.plain(value)
    elif kind == "png":
        value, exif, frames = png.plain(value)
        if is_pair := png.is_deep_grey_alpha(value):
            value = png.with_both_bytes(value)
    try:
        image = DECODERS[kind](io.BytesIO(value))
    except Image.DecompressionBombError as error:
        # Only a GIF's frame is held against Pillow's own bound.
        raise BadPictureError(Reason.TOO_MANY_PIXELS, str(error)) from error
    refuse_size(*image.size, spec)
    if frames != 1:
        raise BadPictureError(Reason.ANIMATED, f"{frames} frames")
    image.decodermaxblock = max(image.decodermaxblock, len(value))
    return Opened(image, value, orientation(exif), is_pair)


def read_pillow(kind: Format, value: bytes, spec: Spec) -> Picture:
    """
    Decode one picture at its full depth.

    Raises:
        BadPictureError: It is not whole, or is refused by its header.
    """
    source = opened(kind, value, spec)
    image = source.load()
    if kind == "png" and png.is_deep_colour(source.value):
        import imagecodecs  # noqa: PLC0415 - few pictures need it

        deep: NDArray[np.uint16] = imagecodecs.png_decode(source.value)
        return Picture(deep, used_bits(WORD_BITS, spec), RGB, source.turn)
    samples, bits = _samples(image, spec)
    return Picture(samples, bits, GREY if samples.shape[2] < RGB else RGB, source.turn)


def _samples(image: Image.Image, spec: Spec) -> tuple[NDArray[Any], int]:
    if image.mode in DEEP_GREY:
        deep = np.asarray(image).clip(0, (1 << WORD_BITS) - 1).astype(np.uint16)
        return deep[..., None], used_bits(WORD_BITS, spec)
    if image.mode not in _AS_STORED:
        image = image.convert("L" if image.mode in {"1", "La"} else "RGB")
    pixels = np.asarray(image)
    return (pixels[..., None] if image.mode == "L" else pixels), BYTE_BITS


def _of_both_bytes(image: Image.Image) -> Image.Image:
    """Join 16-bit grey again: its two bytes were decoded as red and green."""
    pixels = np.asarray(image).astype(np.uint16)
    return Image.fromarray(pixels[..., 0] << 8 | pixels[..., 1])
