"""
Turn a record's bytes into the model's input, or say why not. The bytes are not trusted.

What is decided here, once:
- Only formats that the pipeline takes, told by their first bytes; the file name does not count.
- Size in bytes and pixels is checked before anything is decoded, and a picture must be whole.
- EXIF orientation is honoured, unless told otherwise; colour profiles are not; alpha is dropped,
  not blended.
- With one of the three words for preprocessing the model sees 8 bits of each channel: of 16-bit
  colour in a PNG the upper 8, of all else the upper 8 of the bits that are used (`grey_bits`);
  larger values are white. Greyscale, palette and CMYK become RGB, and the picture is stretched to
  the input size (bilinear, antialiased), not cropped nor padded.
- With a mapping it is fed at full depth, as `preprocess` says.
"""

from __future__ import annotations

import warnings
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from frameferry.config.pictures import Format
from frameferry.inference.card import Spec
from frameferry.inference.pictures.picture import BYTE_BITS, GREY, RGB, WORD_BITS, Picture
from frameferry.inference.pictures.pillow import DECODERS, DEEP_GREY, opened
from frameferry.inference.pictures.reading import DECODER_ERRORS, admitted, as_bad, read, short
from frameferry.inference.undecodable import BadPictureError, Reason, Undecodable

Pixels = NDArray[np.uint8]

NEARLY_BLACK: Final = (
    "their 16-bit grey stays within its lower 12 bits, and is nearly black to the model: see "
    "model.grey_bits"
)
"""The remark on such pictures."""
_ALL_BITS, _EIGHT_BITS, _TWELVE_BITS = 16, 255, 4096
TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_LYING_TURN = 5


class _Seen(NamedTuple):
    """A picture of 8 or 16 bits, before it is made small."""

    image: Image.Image
    turn: int
    remark: str


def decode(value: bytes, spec: Spec) -> Pixels | Undecodable:
    """Decode one picture as `decode_and_remark` does, without the remark."""
    return decode_and_remark(value, spec)[0]


def decode_and_remark(value: bytes, spec: Spec) -> tuple[Pixels | Undecodable, str]:
    """
    Decode one picture to the model's input size, and say what a person should know about it.

    Never raises on a picture's content. Not for two threads at once: it silences Pillow's warnings
    in the whole process.

    Returns:
        (height, width, 3), RGB, 0 to 255, as in *spec*, or why there is none; and a remark, mostly
        empty.
    """
    try:
        kind, content = admitted(value, spec)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _pixels(kind, content, spec)
    except BadPictureError as bad:
        return short(bad.why), ""
    except DECODER_ERRORS as error:
        return as_bad(error).why, ""


def _pixels(kind: Format, value: bytes, spec: Spec) -> tuple[Pixels, str]:
    small, turn, remark = _seen(kind, value, spec)
    if spec.pictures.orientation == "ignore":
        turn = 1
    size = _size(turn, spec)
    small = small.resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
    upright = small.transpose(TURNS[turn]) if turn in TURNS else small
    return np.asarray(upright.convert("RGB")), remark


def _size(turn: int, spec: Spec) -> tuple[int, int]:
    """Say how wide and high the picture is as it lies, when it is as small as the model's input."""
    size = (spec.width_pixels, spec.height_pixels)
    return size[::-1] if turn >= _FIRST_LYING_TURN else size


def _seen(kind: Format, value: bytes, spec: Spec) -> _Seen:
    if kind not in DECODERS:
        picture = read(kind, value, spec)
        return _Seen(_image(picture), picture.turn, remark(picture, spec))
    source = opened(kind, value, spec)
    turn = 1 if spec.pictures.orientation == "ignore" else source.turn
    # libjpeg decodes to the smallest of its scales that is large enough.
    source.image.draft("RGB", _size(turn, spec))
    image = source.load()
    return _Seen(_eight_bits(image, spec.grey_bits), source.turn, _remark(image, spec))


def _image(picture: Picture) -> Image.Image:
    """Bring a picture of grey or colour to 8 bits."""
    if picture.colours not in {GREY, RGB}:
        detail = (
            f"{picture.colours} channels, neither grey nor colour; model.preprocessing.channels "
            "chooses from them"
        )
        raise BadPictureError(Reason.UNFIT, detail)
    samples = picture.samples[..., : picture.colours]
    if picture.bits > BYTE_BITS or samples.dtype != np.uint8:
        samples = (samples >> (picture.bits - BYTE_BITS)).clip(0, 255).astype(np.uint8)
    return Image.fromarray(samples[..., 0] if picture.colours == GREY else samples)


def remark(picture: Picture, spec: Spec) -> str:
    """Say if deep grey may use only a part of its bits; empty for black, or noise in the dark."""
    is_deep = picture.colours == GREY and picture.bits == WORD_BITS
    return _dark(int(picture.samples[..., 0].max()), spec) if is_deep else ""


def _remark(image: Image.Image, spec: Spec) -> str:
    if image.mode not in DEEP_GREY or spec.grey_bits < _ALL_BITS:
        return ""
    return _dark(int(np.asarray(image).max()), spec)


def _dark(brightest: int, spec: Spec) -> str:
    is_dark = spec.grey_bits == _ALL_BITS and _EIGHT_BITS < brightest < _TWELVE_BITS
    return NEARLY_BLACK if is_dark else ""


def _eight_bits(image: Image.Image, grey_bits: int) -> Image.Image:
    """Bring any mode to L or RGB, at full size, without Pillow's clipping of 16-bit pixels."""
    match image.mode:
        case "L" | "RGB":
            return image
        case "1" | "LA" | "La":
            return image.convert("L")
        case mode if mode in DEEP_GREY:
            upper = np.asarray(image) >> (grey_bits - 8)
            return Image.fromarray(upper.clip(0, 255).astype(np.uint8))
        case _:
            return image.convert("RGB")
