"""
Turn a record's bytes into the model's input, or say why not. The bytes are not trusted.

What is decided here, once:
- JPEG, PNG and BMP only, told by their first bytes; the file name does not count.
- Size in bytes and pixels is checked before anything is decoded.
- A picture must be whole. libjpeg invents grey for what is missing, so the decoder never sees the
  end marker of a JPEG: without the marker it asks for more (see `jpeg.plain`).
- What is around the pixels (text, profiles, resolution, times, whole or broken) is not read, and so
  condemns no picture: the decoder sees only what decides pixels. Only EXIF is read, here.
- EXIF orientation is honoured; colour profiles are not; alpha is dropped, not blended.
- 16-bit pixels keep their upper 8 bits. Grey ones, with or without alpha, keep the upper 8 of the
  bits that are used (`grey_bits`); larger values are white. Greyscale, palette and CMYK become RGB.
- The picture is stretched to the input size (bilinear, antialiased), not cropped nor padded.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from frameferry.inference import jpeg, png
from frameferry.inference.card import Spec
from frameferry.inference.undecodable import BadPictureError, Reason, Undecodable

Pixels = NDArray[np.uint8]


ALLOWED: Final[dict[bytes, type[ImageFile.ImageFile]]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"BM": BmpImageFile,
}
"""The allow-list: first bytes, and what decodes them."""
_BMP_HEADER_BYTES: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_REFUSED: Final = {
    b"GIF8": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP  ": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "ICO",
    b"P5\n": "PGM",
    b"P6\n": "PPM",
}
NEARLY_BLACK: Final = (
    "their 16-bit grey stays within its lower 12 bits, and is nearly black to the model: see "
    "model.grey_bits"
)
"""The remark on such pictures."""
_DEEP_GREY: Final = frozenset({"I", "I;16", "I;16L", "I;16B"})
_ALL_BITS, _EIGHT_BITS, _TWELVE_BITS = 16, 255, 4096
_DETAIL_CHARACTERS = 200
_ORIENTATION_TAG = 0x0112
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_FIRST_LYING_TURN = 5
_DECODER_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AttributeError,
    struct.error,
    zlib.error,
)
"""What Pillow raises on hostile bytes. Not MemoryError: that may be the machine's trouble."""


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
    if not value:
        return Undecodable(Reason.EMPTY, "0 bytes"), ""
    if len(value) > spec.max_image_bytes:
        detail = f"{len(value):,} bytes, at most {spec.max_image_bytes:,}"
        return Undecodable(Reason.TOO_LARGE, detail), ""
    decoder = _decoder(value)
    if decoder is None:
        return _stranger(value), ""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _pixels(decoder, value, spec)
        except BadPictureError as bad:
            return bad.why, ""
        except _DECODER_ERRORS as error:
            return _as_reason(error), ""


def _decoder(value: bytes) -> type[ImageFile.ImageFile] | None:
    kind = next((ALLOWED[magic] for magic in ALLOWED if value.startswith(magic)), None)
    if kind is BmpImageFile and int.from_bytes(value[14:18], "little") not in _BMP_HEADER_BYTES:
        return None  # a text that begins with BM
    return kind


def _pixels(decoder: type[ImageFile.ImageFile], value: bytes, spec: Spec) -> tuple[Pixels, str]:
    exif, frames = b"", 1
    if decoder is JpegImageFile:
        value, exif = jpeg.plain(value)
    elif decoder is PngImageFile:
        value, exif, frames = png.plain(value)
    is_pair = decoder is PngImageFile and png.is_deep_grey_alpha(value)
    if is_pair:
        value = png.with_both_bytes(value)
    image = decoder(io.BytesIO(value))
    _refuse_by_header(image, frames, spec)
    turn = _orientation(exif)
    size = (spec.width_pixels, spec.height_pixels)
    if turn >= _FIRST_LYING_TURN:
        size = (spec.height_pixels, spec.width_pixels)
    image.decodermaxblock = max(image.decodermaxblock, len(value))
    image.draft("RGB", size)
    if decoder is PngImageFile:
        png.refuse_short(image, value)
    whole = _of_both_bytes(image) if is_pair else image
    small = _eight_bits(whole, spec.grey_bits).resize(
        size, Image.Resampling.BILINEAR, reducing_gap=2
    )
    upright = small.transpose(_TURNS[turn]) if turn in _TURNS else small
    return np.asarray(upright.convert("RGB")), _remark(whole, spec)


def _refuse_by_header(image: ImageFile.ImageFile, frames: int, spec: Spec) -> None:
    width, height = image.size
    if width * height > spec.max_pixels:
        detail = f"{width} x {height} = {width * height:,} pixels, at most {spec.max_pixels:,}"
        raise BadPictureError(Reason.TOO_MANY_PIXELS, detail)
    if frames != 1:
        raise BadPictureError(Reason.ANIMATED, f"{frames} frames")


def _of_both_bytes(image: Image.Image) -> Image.Image:
    """Join 16-bit grey again: its two bytes were decoded as red and green."""
    pixels = np.asarray(image).astype(np.uint16)
    return Image.fromarray(pixels[..., 0] << 8 | pixels[..., 1])


def _remark(image: Image.Image, spec: Spec) -> str:
    """Say if grey may use only a part of its bits; empty for black, or noise in the dark."""
    if image.mode not in _DEEP_GREY or spec.grey_bits < _ALL_BITS:
        return ""
    brightest = int(np.asarray(image).max())
    return NEARLY_BLACK if _EIGHT_BITS < brightest < _TWELVE_BITS else ""


def _eight_bits(image: Image.Image, grey_bits: int) -> Image.Image:
    """Bring any mode to L or RGB, at full size, without Pillow's clipping of 16-bit pixels."""
    match image.mode:
        case "L" | "RGB":
            return image
        case "1" | "LA" | "La":
            return image.convert("L")
        case mode if mode in _DEEP_GREY:
            upper = np.asarray(image) >> (grey_bits - 8)
            return Image.fromarray(upper.clip(0, 255).astype(np.uint8))
        case _:
            return image.convert("RGB")


def _orientation(exif: bytes) -> int:
    """
    Read the EXIF orientation, 1 to 8; 1 if there is none or it makes no sense.

    Source: TIFF 6.0, image file header and IFD entry; Exif 2.32, tag 274.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(f"{order}L", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for entry in range(entries):
            tag, _, _, turn = struct.unpack_from(f"{order}HHLH", tiff, directory + 2 + 12 * entry)
            if tag == _ORIENTATION_TAG:
                return int(turn) if turn in _TURNS else 1
    except struct.error:
        return 1
    return 1


def _stranger(value: bytes) -> Undecodable:
    name = next((name for magic, name in _REFUSED.items() if value.startswith(magic)), None)
    if value[4:8] == b"ftyp":
        name = "HEIF or AVIF"
    if name:
        return Undecodable(Reason.FORMAT_NOT_ALLOWED, f"{name}; allowed are JPEG, PNG and BMP")
    return Undecodable(Reason.NOT_AN_IMAGE, f"begins with {value[:8].hex(' ')}")


def _as_reason(error: Exception) -> Undecodable:
    text = " ".join(f"{type(error).__name__}: {error}".split())
    plain = "".join(char if char.isprintable() else "?" for char in text)
    reason = Reason.TRUNCATED if "truncated" in plain.lower() else Reason.DAMAGED
    return Undecodable(reason, plain[:_DETAIL_CHARACTERS])
