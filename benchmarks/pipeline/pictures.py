"""JPEGs as cameras make them: soft light, a little colour, and noise that fixes their size."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.pipeline.loads import Size

QUALITY = 85
_TILE = 512
_DARK, _BRIGHT = 60, 200


def pictures(size: Size) -> list[bytes]:
    """Make the distinct pictures of a size, the same ones each time."""
    return [_picture(size, seed) for seed in range(size.distinct)]


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
