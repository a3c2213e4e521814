"""
Measure what decoding costs a picture of each format, in CPU-milliseconds, beside Pillow and tf.io.

    python -m benchmarks.decoding [--megapixels 12]

"ours" is a whole picture at its full depth with every check; "fed" is the same with a mapping that
makes an input of 224 x 224 of it, and "word" with one of the three words.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from frameferry.config.pictures import FORMATS, PicturesSettings
from frameferry.config.preprocessing import PreprocessingSettings
from frameferry.inference.card import Spec
from frameferry.inference.pictures.reading import admitted, read
from frameferry.inference.preprocess import preprocess
from frameferry.inference.undecodable import Undecodable

SEED, SECONDS = 5, 0.5
TAKEN = PicturesSettings(formats=tuple(one for one in FORMATS if one != "raw"))
SPEC = Spec(224, 224, "unit", ("a", "b"), "softmax", None, 0.5, 10**9, 10**9, pictures=TAKEN)


def scene(megapixels: float, channels: int, bits: int) -> NDArray[Any]:
    """Make what a camera sees of a surface: slopes, an edge, and a camera's noise."""
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height, rng = round(width * 3 / 4), np.random.default_rng(SEED)
    across, down = np.linspace(0.2, 0.7, width), np.linspace(0.6, 1, height)
    surface = down[:, None] * across[None, :]
    surface[height // 3 : height // 3 + 40] *= 0.5
    noisy = surface[..., None] + rng.normal(0, 0.01, (height, width, channels))
    whole = (noisy.clip(0, 1) * ((1 << bits) - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    return whole[..., 0] if channels == 1 else whole


def by_pillow(pixels: NDArray[Any], kind: str, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, kind, **options)
    return target.getvalue()


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    target = io.BytesIO()
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(target, pixels, metadata=None, **options)
    return target.getvalue()


def npy(pixels: NDArray[Any]) -> bytes:
    target = io.BytesIO()
    np.save(target, pixels)
    return target.getvalue()


def made(megapixels: float) -> dict[str, bytes]:
    grey, colour = scene(megapixels, 1, 16), scene(megapixels, 3, 8)
    strips: dict[str, Any] = {"rowsperstrip": 64}
    return {
        "JPEG, colour": by_pillow(colour, "JPEG", quality=85),
        "PNG, colour": by_pillow(colour, "PNG"),
        "PNG, 16-bit grey": by_pillow(grey, "PNG"),
        "BMP, colour": by_pillow(colour, "BMP"),
        "WebP, colour": by_pillow(colour, "WEBP", quality=85, method=0),
        "TIFF, 16-bit grey, uncompressed": tiff(grey, **strips),
        "TIFF, 16-bit grey, Deflate": tiff(grey, compression="deflate", predictor=True, **strips),
        "TIFF, 16-bit grey, LZW": tiff(grey, compression="lzw", predictor=True, **strips),
        "TIFF, 16-bit grey, Zstandard": tiff(grey, compression="zstd", predictor=True, **strips),
        "TIFF, colour, JPEG": tiff(colour, compression="jpeg", **strips),
        "TIFF, colour, planes": tiff(
            np.ascontiguousarray(np.moveaxis(colour, 2, 0)), planarconfig="separate", **strips
        ),
        "JPEG 2000, 16-bit grey": imagecodecs.jpeg2k_encode(grey, level=40),
        "JPEG XL, colour": imagecodecs.jpegxl_encode(colour, distance=1.0, effort=3),
        "NumPy, 16-bit grey": npy(grey),
    }


def cpu_milliseconds(work: Callable[[], object]) -> float:
    work()
    began, rounds = time.process_time(), 0
    while time.process_time() - began < SECONDS or not rounds:
        work()
        rounds += 1
    return (time.process_time() - began) * 1000 / rounds


def tried(work: Callable[[], object]) -> str:
    """Say what it costs, or that it refuses."""
    try:
        return f"{cpu_milliseconds(work):.0f}"
    except Exception as error:  # noqa: BLE001 - whatever another library raises is its answer
        return f"no ({type(error).__name__})"


def by_tensorflow(value: bytes) -> Callable[[], object]:
    import tensorflow as tf

    return lambda: tf.io.decode_image(value, expand_animations=False).numpy()


def fed(value: bytes, spec: Spec) -> str:
    refused = preprocess(value, spec)
    if isinstance(refused, Undecodable):
        return refused.detail
    return f"{cpu_milliseconds(lambda: preprocess(value, spec)):.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decoding")
    parser.add_argument("--megapixels", type=float, default=12.0)
    megapixels = parser.parse_args().megapixels
    mapping = replace(SPEC, preprocessing=PreprocessingSettings())
    print(f"| {megapixels:g} million pixels | MB | ours | Pillow | tf.io | fed | word |")
    print("|---|---|---|---|---|---|---|")
    for name, value in made(megapixels).items():
        ours = cpu_milliseconds(lambda v=value: read(*admitted(v, SPEC), SPEC))  # type: ignore[misc]
        pillow = tried(lambda v=value: np.asarray(Image.open(io.BytesIO(v))))  # type: ignore[misc]
        # tf.io can end the process on a WebP.
        theirs = "not tried" if name.startswith("WebP") else tried(by_tensorflow(value))
        columns = [f"{len(value) / 1e6:.1f}", f"{ours:.0f}", pillow, theirs]
        print(f"| {name} | {' | '.join([*columns, fed(value, mapping), fed(value, SPEC)])} |")


if __name__ == "__main__":
    main()
