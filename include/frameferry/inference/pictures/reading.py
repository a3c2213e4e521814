"""Decode a picture of whatever format its pipeline takes, at its full depth."""

from __future__ import annotations

import struct
import warnings
import zlib
from typing import Final

from frameferry.config.pictures import Format
from frameferry.inference.card import Spec
from frameferry.inference.pictures.arrays import read_npy, read_raw
from frameferry.inference.pictures.formats import format_of
from frameferry.inference.pictures.jpeg2000 import read_jpeg2000
from frameferry.inference.pictures.jpegxl import read_jpegxl
from frameferry.inference.pictures.picture import Picture
from frameferry.inference.pictures.pillow import read_pillow
from frameferry.inference.pictures.tiff import read_tiff
from frameferry.inference.pictures.unpacking import unpacked
from frameferry.inference.pictures.webp import read_webp
from frameferry.inference.undecodable import BadPictureError, Reason, Undecodable

_READERS: Final = {
    "tiff": read_tiff,
    "webp": read_webp,
    "jpeg2000": read_jpeg2000,
    "jpegxl": read_jpegxl,
    "npy": read_npy,
    "raw": read_raw,
}
_DETAIL_CHARACTERS = 200
DECODER_ERRORS: Final = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    AttributeError,
    RuntimeError,
    struct.error,
    zlib.error,
)
"""
What decoders raise on hostile bytes, imagecodecs' own among them, which are RuntimeErrors. Not
MemoryError: that may be the machine's trouble.
"""


def admitted(value: bytes, spec: Spec) -> tuple[Format, bytes]:
    """
    Let a value in by its size and its first bytes; return its format, and its own bytes.

    Raises:
        BadPictureError: It is empty, too large, or of no format that the pipeline takes.
    """
    if not value:
        raise BadPictureError(Reason.EMPTY, "0 bytes")
    if len(value) > spec.max_image_bytes:
        detail = f"{len(value):,} bytes, at most {spec.max_image_bytes:,}"
        raise BadPictureError(Reason.TOO_LARGE, detail)
    value = unpacked(value, spec)
    return format_of(value, spec.pictures.formats), value


def read(kind: Format, value: bytes, spec: Spec) -> Picture:
    """
    Decode what was admitted.

    Raises:
        BadPictureError: It cannot be decoded, for whatever reason.
    """
    reader = _READERS.get(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return reader(value, spec) if reader else read_pillow(kind, value, spec)
        except DECODER_ERRORS as error:
            raise as_bad(error) from error


def as_bad(error: Exception) -> BadPictureError:
    """Say in one line what a decoder raised."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    plain = "".join(char if char.isprintable() else "?" for char in text)
    reason = Reason.TRUNCATED if "truncated" in plain.lower() else Reason.DAMAGED
    return BadPictureError(reason, plain[:_DETAIL_CHARACTERS])


def short(why: Undecodable) -> Undecodable:
    """Keep a detail to one short, printable line."""
    plain = "".join(char if char.isprintable() else "?" for char in why.detail)
    return Undecodable(why.reason, plain[:_DETAIL_CHARACTERS])
