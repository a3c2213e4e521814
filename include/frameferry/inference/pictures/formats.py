"""Tell formats by their first bytes; the file name does not count."""

from __future__ import annotations

from typing import Final

from frameferry.config.pictures import Format
from frameferry.inference.undecodable import BadPictureError, Reason

_MAGIC: Final[dict[bytes, Format]] = {
    b"\xff\xd8\xff": "jpeg",
    b"\x89PNG\r\n\x1a\n": "png",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jpeg2000",
    b"\xff\x4f\xff\x51": "jpeg2000",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jpegxl",
    b"\xff\x0a": "jpegxl",
    b"\x93NUMPY": "npy",
}
_BMP_HEADER_BYTES: Final = frozenset({12, 40, 52, 56, 64, 108, 124})
_NAMES: Final[dict[Format, str]] = {
    "jpeg": "JPEG",
    "png": "PNG",
    "bmp": "BMP",
    "tiff": "TIFF",
    "webp": "WebP",
    "gif": "GIF",
    "jpeg2000": "JPEG 2000",
    "jpegxl": "JPEG XL",
    "npy": "NumPy",
    "raw": "raw frames",
}
_STRANGERS: Final = {
    b"II+\0": "BigTIFF",
    b"MM\0+": "BigTIFF",
    b"8BPS": "Photoshop",
    b"\0\0\1\0": "ICO",
    b"P5\n": "PGM",
    b"P6\n": "PPM",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
}


def format_of(value: bytes, allowed: tuple[Format, ...]) -> Format:
    """
    Say which of the allowed formats the bytes are.

    Raises:
        BadPictureError: They are of another one, or of none.
    """
    if allowed == ("raw",):
        return "raw"
    found = _known(value)
    if found in allowed:
        return found
    raise _stranger(value, found, allowed)


def _known(value: bytes) -> Format | None:
    if value[:2] == b"BM":
        # A text may begin with BM, too.
        is_bmp = int.from_bytes(value[14:18], "little") in _BMP_HEADER_BYTES
        return "bmp" if is_bmp else None
    if value[:4] == b"RIFF" and value[8:12] == b"WEBP":
        return "webp"
    return next((kind for magic, kind in _MAGIC.items() if value.startswith(magic)), None)


def _stranger(value: bytes, found: Format | None, allowed: tuple[Format, ...]) -> BadPictureError:
    name = _NAMES[found] if found else None
    if name is None:
        name = next((name for magic, name in _STRANGERS.items() if value.startswith(magic)), None)
    if value[4:8] == b"ftyp":
        name = "HEIF or AVIF"
    if name is None:
        return BadPictureError(Reason.NOT_AN_IMAGE, f"begins with {value[:8].hex(' ')}")
    *others, last = (_NAMES[one] for one in allowed)
    listed = f"{', '.join(others)} and {last}" if others else last
    verb = "are" if others else "is"
    return BadPictureError(Reason.FORMAT_NOT_ALLOWED, f"{name}; allowed {verb} {listed}")
