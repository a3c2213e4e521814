"""
Generate pictures of made-up surfaces: good ones, and ones with a scratch, a hole or a stain.

The demo's pictures and the demo model's data come from here, so both are ours to give away.
Everything is relative to the picture's shorter side: a picture shows the same at any size.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Label = Literal["good", "scratch", "hole", "stain"]
Format = Literal["JPEG", "PNG"]
Floats = NDArray[np.float32]

LABELS: Final[tuple[Label, ...]] = ("good", "scratch", "hole", "stain")
"""What a surface can be, in the order of the demo model's outputs."""

_MASK_PIXELS = 512
"""Defects are drawn at least this finely (shorter side) before they are scaled down."""
_DARK, _BRIGHT = 8, 247


def picture(seed: int, label: Label, size: tuple[int, int]) -> Image.Image:
    """
    Make one RGB picture; the same arguments make the same picture.

    One seed gives one surface: pictures of two labels differ by the defect only.

    Args:
        seed: 0 or more.
        label: What to show.
        size: (width, height) in pixels, each at least 16.
    """
    width, height = size
    canvas = _surface(np.random.default_rng([seed, 0]), width, height)
    rng = np.random.default_rng([seed, 1, LABELS.index(label)])
    match label:
        case "good":
            pass
        case "scratch":
            _scratch(rng, canvas)
        case "hole":
            _hole(rng, canvas)
        case "stain":
            _stain(rng, canvas)
    return Image.fromarray(np.clip(canvas, 0, 255).astype(np.uint8))


def samples(seed: int, count: int) -> Iterator[tuple[Label, bytes]]:
    """
    Make a mixed set, as cameras of every kind would send it: (label, image bytes).

    Labels take turns. Shorter sides are 128 to 420 pixels, aspects up to 1.8, two in three are
    JPEGs of quality 70 to 95, the others PNGs. Two seeds share no picture below a million.
    """
    rng = np.random.default_rng([seed, 2])
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        short = int(rng.integers(128, 421))
        size = (short, round(short * rng.uniform(1, 1.8)))
        if rng.random() < 2 / 3:
            size = size[::-1]
        quality = int(rng.integers(70, 96))
        file_format: Format = "JPEG" if rng.random() < 2 / 3 else "PNG"
        yield label, encode(picture(seed * 1_000_000 + number, label, size), file_format, quality)


def encode(image: Image.Image, file_format: Format, quality: int = 88) -> bytes:
    """Write a picture as a camera would; `quality` is for JPEG only, 1 to 95."""
    buffer = io.BytesIO()
    if file_format == "JPEG":
        image.save(buffer, "JPEG", quality=quality)
    else:
        image.save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _surface(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Paint an undamaged surface: colour, texture, light and the camera's noise."""
    paint = (_brushed, _painted, _cast)[int(rng.integers(3))]
    texture = paint(rng, width, height)
    grey = rng.uniform(85, 180) + texture + _light(rng, width, height)
    grey += rng.standard_normal((height, width), dtype=np.float32) * rng.uniform(0.8, 3.5)
    tint = rng.uniform(0.9, 1.08, 3).astype(np.float32)
    coloured: Floats = np.clip(grey, _DARK, _BRIGHT)[..., None] * tint
    return coloured


def _brushed(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Streaks along one axis, as a wire brush leaves them on metal."""
    across = rng.random() < 1 / 2
    columns, rows = (height, width) if across else (width, height)
    fine = _noise(rng, max(2, columns // 96), rows, (columns, rows))
    coarse = _noise(rng, 2, max(2, rows // 6), (columns, rows))
    streaks = fine * rng.uniform(1.5, 4) + coarse * rng.uniform(1, 4)
    return streaks.T if across else streaks


def _painted(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Soft waves over the whole area, as lacquer dries."""
    pitch = max(3, round(min(width, height) * rng.uniform(0.012, 0.03)))
    waves = _noise(rng, max(2, width // pitch), max(2, height // pitch), (width, height))
    return waves * np.float32(rng.uniform(1, 3))


def _cast(rng: np.random.Generator, width: int, height: int) -> Floats:
    """Grain in two sizes, as sand leaves it on cast metal."""
    pitch = max(2, round(min(width, height) * rng.uniform(0.004, 0.008)))
    grain = _noise(rng, max(2, width // pitch), max(2, height // pitch), (width, height))
    clouds = _noise(rng, 5, 5, (width, height))
    return grain * np.float32(rng.uniform(3, 7)) + clouds * np.float32(rng.uniform(1, 4))


def _noise(rng: np.random.Generator, columns: int, rows: int, size: tuple[int, int]) -> Floats:
    """Scale `columns` x `rows` random numbers up to (width, height); mean 0, deviation about 1."""
    small = Image.fromarray(rng.standard_normal((rows, columns), dtype=np.float32))
    return np.asarray(small.resize(size, Image.Resampling.BICUBIC))


def _light(rng: np.random.Generator, width: int, height: int) -> Floats:
    """A lamp to one side: a slope over the picture and one wide soft spot."""
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    angle, slope = rng.uniform(0, 2 * math.pi), rng.uniform(5, 32)
    spot_x, spot_y = rng.uniform(-1, 1, 2)
    spot = np.exp(-((x - spot_x) ** 2 + (y - spot_y) ** 2) / rng.uniform(0.6, 2))
    ramp = slope * (math.cos(angle) * x + math.sin(angle) * y)
    light: Floats = ramp + spot * rng.uniform(0, 28)
    return light


def _mask(canvas: Floats) -> tuple[Image.Image, ImageDraw.ImageDraw, int]:
    """Open an empty drawing in the picture's shape: (mask, pen, shorter side in pixels)."""
    height, width = canvas.shape[:2]
    scale = max(1.0, _MASK_PIXELS / min(width, height))
    mask = Image.new("L", (round(width * scale), round(height * scale)))
    return mask, ImageDraw.Draw(mask), min(mask.size)


def _apply(canvas: Floats, mask: Image.Image, change: NDArray[np.float64]) -> None:
    """Add *change* (grey levels a channel) to the canvas where the mask is white."""
    height, width = canvas.shape[:2]
    fitted = mask.resize((width, height), Image.Resampling.BOX, reducing_gap=2)
    share = np.asarray(fitted, dtype=np.float32)[..., None] / 255
    canvas += share * change.astype(np.float32)


def _scratch(rng: np.random.Generator, canvas: Floats) -> None:
    mask, pen, side = _mask(canvas)
    width, height = mask.size
    length, angle = side * rng.uniform(0.3, 0.85), rng.uniform(0, 2 * math.pi)
    middle = np.array([width, height]) * rng.uniform(0.3, 0.7, 2)
    along = np.array([math.cos(angle), math.sin(angle)])
    bend = np.array([-along[1], along[0]]) * length * rng.uniform(-0.12, 0.12)
    way = np.linspace(-1, 1, 24)[:, None]
    points = middle + way * along * length / 2 + (1 - way**2) * bend
    thickness = max(1, round(side * rng.uniform(0.007, 0.018)))
    pen.line([(float(x), float(y)) for x, y in points], fill=255, width=thickness, joint="curve")
    _apply(canvas, mask, _contrast(rng, canvas, 50, 110) * rng.uniform(0.9, 1.1, 3))


def _hole(rng: np.random.Generator, canvas: Floats) -> None:
    mask, pen, side = _mask(canvas)
    width, height = mask.size
    radius = side * rng.uniform(0.025, 0.085)
    x, y = rng.uniform(0.12, 0.88) * width, rng.uniform(0.12, 0.88) * height
    flat = rng.uniform(0.75, 1)
    box = (x - radius, y - radius * flat, x + radius, y + radius * flat)
    rim = Image.new("L", mask.size)
    start = rng.uniform(0, 360)
    ImageDraw.Draw(rim).arc(box, start, start + 150, fill=255, width=max(1, round(radius / 4)))
    pen.ellipse(box, fill=255)
    canvas_mean = float(canvas.mean())
    _apply(canvas, mask, np.full(3, -canvas_mean * rng.uniform(0.6, 0.9)))
    _apply(canvas, rim, np.full(3, rng.uniform(30, 80)))


def _stain(rng: np.random.Generator, canvas: Floats) -> None:
    mask, pen, side = _mask(canvas)
    width, height = mask.size
    reach = side * rng.uniform(0.08, 0.2)
    middle = np.array([width, height]) * rng.uniform(0.2, 0.8, 2)
    for _ in range(int(rng.integers(4, 9))):
        x, y = middle + rng.normal(0, reach / 2, 2)
        a, b = reach * rng.uniform(0.35, 0.8, 2)
        pen.ellipse((x - a, y - b, x + a, y + b), fill=255)
    soft = mask.filter(ImageFilter.GaussianBlur(reach * rng.uniform(0.08, 0.25)))
    _apply(canvas, soft, _contrast(rng, canvas, 28, 60) * rng.uniform(0.6, 1.25, 3))


def _contrast(rng: np.random.Generator, canvas: Floats, least: float, most: float) -> float:
    """Choose a change of grey that stays visible: dark on bright ground, otherwise either way."""
    mean = float(canvas.mean())
    darker = mean - most > _DARK and (mean + most > _BRIGHT or rng.random() < 1 / 2)
    return rng.uniform(least, most) * (-1 if darker else 1)
