"""JPEGs as cameras make them: soft light, a little colour, and noise that fixes their size."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pipeline.loads import SIZES, Size

QUALITY = 85
_TILE = 512
_SEGMENT, _LEAST = 65_537, 4
"""Bytes of a JPEG's segment, its marker included, at most and at least."""
_DARK, _BRIGHT = 60, 200


def pictures(size: Size) -> list[bytes]:
    """Make the distinct pictures of a size, the same ones each time."""
    return [_picture(size, seed) for seed in range(size.distinct)]


def heavy_pictures(size_bytes: int, distinct: int = 4) -> list[bytes]:
    """
    Make pictures that weigh much and decode quickly: small ones, padded by comment segments.

    Each differs by a few bytes in size too.
    """
    small = [_picture(SIZES["640x480"], seed) for seed in range(distinct)]
    return [padded(value, size_bytes + number) for number, value in enumerate(small)]


def padded(value: bytes, size_bytes: int) -> bytes:
    """Put comments behind a JPEG's first marker, so that it has this size."""
    missing = size_bytes - len(value)
    segments = []
    while missing > 0:
        # A segment takes four bytes at least; what is left must be enough for another one.
        length = missing if missing <= _SEGMENT else min(_SEGMENT, missing - _LEAST)
        segments.append(b"\xff\xfe" + (length - 2).to_bytes(2, "big") + b"\0" * (length - 4))
        missing -= length
    return value[:2] + b"".join(segments) + value[2:]


def _picture(size: Size, seed: int) -> bytes:
    chance = np.random.default_rng(seed)
    light = chance.integers(_DARK, _BRIGHT, (9, 12, 3), dtype=np.uint8)
    scene = Image.fromarray(light).resize((size.width, size.height), Image.Resampling.BICUBIC)
    noisy = np.asarray(scene, np.int16) + _noise(chance, size)
    return _jpeg(noisy.clip(0, 255).astype(np.uint8))


def _noise(chance: np.random.Generator, size: Size) -> NDArray[np.int16]:
    """Repeat one tile: a JPEG gains nothing from that, and drawing 12 million would take long."""
    tile = chance.normal(0, size.noise, (_TILE, _TILE)).astype(np.int16)
    times = (size.height // _TILE + 1, size.width // _TILE + 1)
    return np.tile(tile, times)[: size.height, : size.width, None]


def _jpeg(pixels: NDArray[np.uint8]) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
