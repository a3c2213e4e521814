"""
Turn a record's bytes into the model's input, or say why not. The bytes are not trusted.

What is decided here, once:
- JPEG, PNG and BMP only, told by their first bytes; the file name says nothing.
- Size in bytes and pixels is looked at before anything is decoded.
- A picture must be whole. libjpeg invents grey for what is missing, so the decoder never gets to
  see the end marker of a JPEG: it then asks for more instead (see `_jpeg_without_end`).
- EXIF orientation is honoured; colour profiles are not; alpha is dropped, not blended.
- 16-bit pixels keep their upper 8 bits. Greyscale, palette and CMYK become RGB.
- The picture is stretched to the input size (bilinear, antialiased), not cropped nor padded.
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from frameferry.inference.card import Spec

Pixels = NDArray[np.uint8]


class Reason(StrEnum):
    """Why a picture could not be judged, as `frameferry quarantine` shows it."""

    meaning: str

    def __new__(cls, value: str, meaning: str) -> Self:
        """Make a member that carries its explanation."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    EMPTY = "empty", "The record's value holds no bytes."
    TOO_LARGE = "too large", "More bytes than `model.max_image_bytes`; it was not decoded."
    NOT_AN_IMAGE = "not an image", "The first bytes are those of no image format."
    FORMAT_NOT_ALLOWED = "format not allowed", "An image, but not a JPEG, PNG or BMP."
    TOO_MANY_PIXELS = (
        "too many pixels",
        "Its header announces more pixels than `model.max_pixels`; it was not decoded.",
    )
    TRUNCATED = "truncated", "It ends before the picture is whole."
    DAMAGED = "damaged", "Its header or its pixels cannot be decoded."
    ANIMATED = "animated", "A PNG of several frames: no single picture to judge."
    NO_ANSWER = "no answer", "The model answered with a number that is not finite."


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A bad picture as a value: one of the reasons, and one short line that says more."""

    reason: Reason
    detail: str


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
_DETAIL_CHARACTERS = 200
_MAX_SCANS = 64
"""More scans than any camera writes; each costs a pass over the whole picture."""
_MARKER, _SOI, _EOI, _SOS, _FIRST_RESTART = 0xFF, 0xD8, 0xD9, 0xDA, 0xD0
_PROGRESSIVE = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
_NO_DATA = b"\xff\x00" * 8
"""Eight bytes of ones, which are no Huffman code: the decoder's look-ahead, and no more."""
_PNG_SIGNATURE_BYTES = 8
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
    """
    Decode one picture to the model's input size.

    Never raises on a picture's content. Not for two threads at once: it silences Pillow's
    warnings, which is process-wide.

    Returns:
        (height, width, 3), RGB, 0 to 255, as in *spec*; or why there is none.
    """
    if not value:
        return Undecodable(Reason.EMPTY, "0 bytes")
    if len(value) > spec.max_image_bytes:
        detail = f"{len(value):,} bytes, at most {spec.max_image_bytes:,}"
        return Undecodable(Reason.TOO_LARGE, detail)
    decoder = _decoder(value)
    if decoder is None:
        return _stranger(value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return _pixels(decoder, value, spec)
        except _BadPictureError as bad:
            return bad.why
        except _DECODER_ERRORS as error:
            return _as_reason(error)


def _decoder(value: bytes) -> type[ImageFile.ImageFile] | None:
    kind = next((ALLOWED[magic] for magic in ALLOWED if value.startswith(magic)), None)
    if kind is BmpImageFile and int.from_bytes(value[14:18], "little") not in _BMP_HEADER_BYTES:
        return None  # a text that begins with BM
    return kind


class _BadPictureError(Exception):
    def __init__(self, reason: Reason, detail: str) -> None:
        self.why = Undecodable(reason, detail)


def _pixels(decoder: type[ImageFile.ImageFile], value: bytes, spec: Spec) -> Pixels:
    if decoder is JpegImageFile:
        value = _jpeg_without_end(value)
    elif decoder is PngImageFile:
        _refuse_damaged_png(value)
    image = decoder(io.BytesIO(value))
    _refuse_by_header(image, spec)
    turn = _orientation(image.info.get("exif", b""))
    size = (spec.width_pixels, spec.height_pixels)
    if turn >= _FIRST_LYING_TURN:
        size = (spec.height_pixels, spec.width_pixels)
    image.decodermaxblock = max(image.decodermaxblock, len(value))
    image.draft("RGB", size)
    small = _eight_bits(image).resize(size, Image.Resampling.BILINEAR, reducing_gap=2)
    upright = small.transpose(_TURNS[turn]) if turn in _TURNS else small
    return np.asarray(upright.convert("RGB"))


def _refuse_damaged_png(value: bytes) -> None:
    """
    Hold each critical chunk against its CRC: Pillow does not, for the pixels.

    What stands behind the last one is no part of the picture.
    """
    kind, start = b"", _PNG_SIGNATURE_BYTES
    while kind != b"IEND":
        length, kind = int.from_bytes(value[start : start + 4]), value[start + 4 : start + 8]
        end = start + 8 + length
        if end + 4 > len(value):
            raise _BadPictureError(Reason.TRUNCATED, "no whole IEND chunk")
        crc = int.from_bytes(value[end : end + 4])
        if kind[:1].isupper() and zlib.crc32(value[start + 4 : end]) != crc:
            raise _BadPictureError(Reason.DAMAGED, f"wrong CRC of chunk {kind!r} at {start}")
        start = end + 4


def _refuse_by_header(image: ImageFile.ImageFile, spec: Spec) -> None:
    width, height = image.size
    if width * height > spec.max_pixels:
        detail = f"{width} x {height} = {width * height:,} pixels, at most {spec.max_pixels:,}"
        raise _BadPictureError(Reason.TOO_MANY_PIXELS, detail)
    frames = getattr(image, "n_frames", 1)
    if frames != 1:
        raise _BadPictureError(Reason.ANIMATED, f"{frames} frames")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Bring any mode to L or RGB, at full size, without Pillow's clipping of 16-bit pixels."""
    match image.mode:
        case "L" | "RGB":
            return image
        case "1" | "LA" | "La":
            return image.convert("L")
        case "I" | "I;16" | "I;16L" | "I;16B":
            return Image.fromarray((np.asarray(image) >> 8).clip(0, 255).astype(np.uint8))
        case _:
            return image.convert("RGB")


def _jpeg_without_end(value: bytes) -> bytes:
    """
    Check that a JPEG's segments are whole, and take away its end marker where that is safe.

    libjpeg fills up with grey when it meets the end too early, and Pillow tells nobody. Without
    the marker it must ask for more, and Pillow reports the picture as truncated. A progressive
    picture is decoded after its last scan only and needs the marker: there only a missing end is
    noticed. Restart markers must count on, else a stretch between them is lost.

    Raises:
        _BadPictureError: It ends early, or a stretch is missing.
    """
    places, codes = _markers(value)
    scans, progressive, position = 0, False, 2
    while (index := int(np.searchsorted(places, position))) < len(places):
        code, position = int(codes[index]), int(places[index])
        if code == _EOI and scans:
            single = scans == 1 and not progressive
            return value[:position] + _NO_DATA if single else value[: position + 2]
        if code in {_SOI, _EOI} or scans > _MAX_SCANS:
            raise _BadPictureError(Reason.DAMAGED, f"marker {code:02x} out of place")
        progressive = progressive or code in _PROGRESSIVE
        position += 2 + int.from_bytes(value[position + 2 : position + 4], "big")
        if code == _SOS:
            scans += 1
            position = _end_of_scan(places, codes, position)
    raise _BadPictureError(Reason.TRUNCATED, "no end-of-image marker")


def _markers(value: bytes) -> tuple[NDArray[np.intp], Pixels]:
    """Find every marker of a JPEG, and what looks like one inside a segment: places and codes."""
    data = np.frombuffer(value, np.uint8)
    places = np.flatnonzero(data[:-1] == _MARKER)
    codes = data[places + 1]
    real = (codes != 0) & (codes != _MARKER)
    return places[real], codes[real]


def _end_of_scan(places: NDArray[np.intp], codes: Pixels, start: int) -> int:
    """Step over a scan's pixels and restart markers to the next marker's place."""
    first = int(np.searchsorted(places, start))
    others = np.flatnonzero(codes[first:] & ~np.uint8(7) != _FIRST_RESTART)
    count = int(others[0]) if len(others) else len(codes) - first
    if np.any(codes[first : first + count] != _FIRST_RESTART + np.arange(count) % 8):
        raise _BadPictureError(Reason.DAMAGED, "a stretch between two restart markers is lost")
    return int(places[first + count]) if len(others) else int(np.iinfo(np.intp).max)


def _orientation(exif: bytes) -> int:
    """
    Read the EXIF orientation, 1 to 8; 1 where there is none or it makes no sense.

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
