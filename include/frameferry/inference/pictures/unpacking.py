"""Unpack what is around a picture, never to more bytes than a picture may have."""

from __future__ import annotations

import zlib
from typing import Final

from frameferry.config.pictures import Packing
from frameferry.inference.card import Spec
from frameferry.inference.undecodable import BadPictureError, Reason

_MAGIC: Final[dict[bytes, Packing]] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_GZIP_BITS: Final = 31


def unpacked(value: bytes, spec: Spec) -> bytes:
    """
    Return the picture's own bytes: *value*, or what is packed in it. One layer only.

    Raises:
        BadPictureError: It does not unpack whole, or to more than `model.max_image_bytes`.
    """
    kind = next((kind for magic, kind in _MAGIC.items() if value.startswith(magic)), None)
    if kind not in spec.pictures.unpack:
        return value
    content = (_gunzipped if kind == "gzip" else _unzstd)(value, spec.max_image_bytes + 1)
    if len(content) > spec.max_image_bytes:
        detail = f"{kind} of over {spec.max_image_bytes:,} bytes"
        raise BadPictureError(Reason.TOO_LARGE, detail)
    if not content:
        raise BadPictureError(Reason.EMPTY, f"{kind} of 0 bytes")
    return content


def _gunzipped(value: bytes, most: int) -> bytes:
    unpacker = zlib.decompressobj(_GZIP_BITS)
    try:
        content = unpacker.decompress(value, most)
    except zlib.error as error:
        raise BadPictureError(Reason.DAMAGED, f"gzip: {error}") from error
    if len(content) < most and not unpacker.eof:
        raise BadPictureError(Reason.TRUNCATED, "gzip ends early")
    return content


def _unzstd(value: bytes, most: int) -> bytes:
    import pyarrow as pa  # noqa: PLC0415 - few pipelines need it

    try:
        with pa.CompressedInputStream(pa.BufferReader(value), "zstd") as stream:
            content: bytes = stream.read(most)
    except (OSError, pa.ArrowException) as error:
        reason = Reason.TRUNCATED if "truncated" in str(error).lower() else Reason.DAMAGED
        raise BadPictureError(reason, f"zstd: {error}") from error
    return content
