"""Formats x depths x channels x preprocessing, against values that other libraries compute."""

from __future__ import annotations

import gzip
import io
import itertools
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pyarrow as pa
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from frameferry.config.pictures import FORMATS, PicturesSettings
from frameferry.config.preprocessing import PreprocessingSettings
from frameferry.inference.card import Spec
from frameferry.inference.pictures.reading import admitted, read
from frameferry.inference.preprocess import preprocess
from frameferry.inference.undecodable import Reason, Undecodable

Array = NDArray[Any]
HEIGHT, WIDTH = 37, 52
EVERY = PicturesSettings(
    formats=tuple(one for one in FORMATS if one != "raw"), unpack=("gzip", "zstd")
)
SPEC = Spec(20, 24, "unit", ("a", "b"), "softmax", None, 0.5, 10**6, 10**7, pictures=EVERY)


def scene(bits: int, channels: int) -> Array:
    """Smooth areas and noise, over the whole depth."""
    rng = np.random.default_rng(bits * 10 + channels)
    noise = rng.random((HEIGHT, WIDTH, channels)) * 0.3
    slope = np.linspace(0, 0.7, WIDTH)[None, :, None] * np.linspace(0.5, 1, HEIGHT)[:, None, None]
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = ((noise + slope) * ((1 << bits) - 1)).round().astype(dtype)
    pixels[0, 0], pixels[-1, -1] = (1 << bits) - 1, 0
    return pixels


def squeezed(pixels: Array) -> Array:
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels


def by_pillow(kind: str) -> Callable[[Array], bytes]:
    def write(pixels: Array) -> bytes:
        target = io.BytesIO()
        Image.fromarray(squeezed(pixels)).save(target, kind, lossless=True, exact=True)
        return target.getvalue()

    return write


def tiff(**options: Any) -> Callable[[Array], bytes]:
    def write(pixels: Array) -> bytes:
        target, count = io.BytesIO(), pixels.shape[2]
        chosen = {"photometric": "rgb" if count in {3, 4} else "minisblack", **options}
        if chosen.get("planarconfig") == "separate":
            pixels = np.moveaxis(pixels, 2, 0) if count > 1 else squeezed(pixels)
        elif count > 1:
            chosen["planarconfig"] = "contig"
        if count in {2, 4}:
            chosen["extrasamples"] = ["unassalpha"]
        shown = pixels if pixels.ndim == 2 or count > 1 else squeezed(pixels)
        if count == 1:
            chosen.pop("planarconfig", None)
        tifffile.imwrite(target, shown, metadata=None, **chosen)
        return target.getvalue()

    return write


def npy(pixels: Array) -> bytes:
    target = io.BytesIO()
    np.save(target, squeezed(pixels))
    return target.getvalue()


def png16(pixels: Array) -> bytes:
    written, value = cv2.imencode(".png", squeezed(pixels[..., ::-1]))
    assert written
    return value.tobytes()


def jpeg2000(bits: int) -> Callable[[Array], bytes]:
    return lambda pixels: imagecodecs.jpeg2k_encode(
        squeezed(pixels), level=0, reversible=True, bitspersample=bits
    )


def jpegxl(bits: int) -> Callable[[Array], bytes]:
    return lambda pixels: imagecodecs.jpegxl_encode(
        squeezed(pixels), lossless=True, bitspersample=bits
    )


def packed(pixels: Array) -> bytes:
    return gzip.compress(npy(pixels))


def zstd(pixels: Array) -> bytes:
    return bytes(pa.Codec("zstd").compress(npy(pixels), asbytes=True))


TIFFS = {
    f"tiff {compression} {layout} {order}": tiff(
        compression=None if compression == "none" else compression,
        byteorder=order,
        **options,
    )
    for compression, (layout, options), order in itertools.product(
        ("none", "lzw", "deflate", "packbits", "zstd"),
        {
            "strips": {"rowsperstrip": 8},
            "tiles": {"tile": (16, 32)},
            "planes": {"planarconfig": "separate", "rowsperstrip": 37},
            "tiled planes": {"planarconfig": "separate", "tile": (32, 16)},
        }.items(),
        "<>",
    )
} | {
    f"tiff {compression} differences": tiff(compression=compression, predictor=True, rowsperstrip=9)
    for compression in ("lzw", "deflate", "zstd")
}
SOURCES: list[tuple[str, Callable[[Array], bytes], int, int]] = [
    *(("png", by_pillow("PNG"), 8, channels) for channels in (1, 2, 3, 4)),
    *(("png", png16, 16, channels) for channels in (1, 3)),
    *(("bmp", by_pillow("BMP"), 8, channels) for channels in (1, 3)),
    *(("webp", by_pillow("WEBP"), 8, channels) for channels in (3, 4)),
    ("gif", by_pillow("GIF"), 8, 1),
    *(
        (name, write, bits, channels)
        for name, write in TIFFS.items()
        for bits in (8, 16)
        for channels in (1, 2, 3, 4, 5)
    ),
    *(("jpeg2000", jpeg2000(b), b, channels) for b in (8, 10, 12, 16) for channels in (1, 3, 4)),
    *(("jpegxl", jpegxl(b), b, channels) for b in (8, 10, 12, 16) for channels in (1, 3, 4)),
    *(("npy", npy, bits, channels) for bits in (8, 16) for channels in (1, 2, 3, 4, 5)),
    *(("gzip", packed, bits, 3) for bits in (8, 16)),
    *(("zstd", zstd, bits, 1) for bits in (8, 16)),
]
NAMES = [f"{name} {bits} bits {channels} channels" for name, _, bits, channels in SOURCES]


@pytest.mark.parametrize(("name", "write", "bits", "channels"), SOURCES, ids=NAMES)
def test_every_number_is_the_one_that_was_written(
    name: str, write: Callable[[Array], bytes], bits: int, channels: int
) -> None:
    pixels = scene(bits, channels)
    picture = read(*admitted(write(pixels), SPEC), SPEC)
    colours = {2: 1, 4: 3}.get(channels, channels)
    # Pillow shows the greys of a GIF as colours.
    expected = np.repeat(pixels, 3, axis=2) if name == "gif" else pixels
    assert np.array_equal(expected, picture.samples)
    assert (bits, 3 if name == "gif" else colours) == (picture.bits, picture.colours)


def asked(**steps: Any) -> PreprocessingSettings:
    return PreprocessingSettings.model_validate({"antialias": False, **steps})


STEPS = [
    asked(),
    asked(channels="bgr", scale="signed"),
    asked(channels="grey", scale="raw"),
    asked(channels=[0], order="channels_first"),
    asked(region={"left": 5, "top": 3, "width": 31, "height": 22}),
    asked(region={"unit": "share", "left": 0.25, "top": 0.1, "width": 0.5, "height": 0.6}),
    asked(fit="letterbox", fill=[114], region={"width": 52, "height": 9}),
    asked(fit="letterbox", fill=[10, 20, 30], region={"width": 9, "height": 37}),
    asked(fit="crop", region={"width": 50, "height": 20}),
    asked(fit="crop", region={"width": 20, "height": 37}, channels="grey"),
    asked(interpolation="nearest", antialias=True),
    asked(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
    asked(mean=[0.5], std=[0.25], channels="grey", dtype="float16"),
    asked(scale="raw", dtype="uint8"),
    asked(scale="standardise"),
    asked(tiles={"height_pixels": 16, "width_pixels": 20, "verdict": "mean"}),
]


def expected_of(pixels: Array, bits: int, steps: PreprocessingSettings) -> Array:
    """Compute the inputs by OpenCV, in floats."""
    whole = pixels.astype(np.float32) / np.float32((1 << bits) - 1)
    height, width = whole.shape[:2]
    if (region := steps.region) is not None:
        by = (width, height) if region.unit == "share" else (1, 1)
        left, right = round(region.left * by[0]), round((region.left + region.width) * by[0])
        top, bottom = round(region.top * by[1]), round((region.top + region.height) * by[1])
        whole = whole[top:bottom, left:right]
    coloured = np.ascontiguousarray(whole[..., :3] if whole.shape[2] >= 3 else whole[..., [0] * 3])
    if isinstance(steps.channels, tuple):
        coloured = np.ascontiguousarray(whole[..., list(steps.channels)])
    elif steps.channels == "bgr":
        coloured = cv2.cvtColor(coloured, cv2.COLOR_RGB2BGR)
    elif steps.channels == "grey":
        coloured = cv2.cvtColor(coloured, cv2.COLOR_RGB2GRAY)
    coloured = coloured.reshape(*coloured.shape[:2], -1)
    return np.stack([expected_input(tile, steps) for tile in expected_tiles(coloured, steps)])


def expected_tiles(pixels: Array, steps: PreprocessingSettings) -> list[Array]:
    if steps.tiles is None:
        return [pixels]
    # 37 x 52 in tiles of 16 x 20: three of each, the steps as even as whole numbers are.
    return [pixels[top : top + 16, left : left + 20] for top in (0, 10, 21) for left in (0, 16, 32)]


def expected_input(pixels: Array, steps: PreprocessingSettings) -> Array:
    height, width = pixels.shape[:2]
    way = cv2.INTER_NEAREST_EXACT if steps.interpolation == "nearest" else cv2.INTER_LINEAR
    if steps.fit == "letterbox":
        by = min(20 / height, 24 / width)
        inner = (max(1, round(width * by)), max(1, round(height * by)))
        small = cv2.resize(pixels, inner, interpolation=way)
        above, left = (20 - inner[1]) // 2, (24 - inner[0]) // 2
        colour = [one / 255 for one in (steps.fill * 3)[:3]]
        edges = (above, 20 - inner[1] - above, left, 24 - inner[0] - left)
        small = cv2.copyMakeBorder(small, *edges, cv2.BORDER_CONSTANT, value=colour)
    elif steps.fit == "crop":
        high, wide = min(height, width * 20 // 24), min(width, height * 24 // 20)
        above, left = (height - high) // 2, (width - wide) // 2
        cropped = np.ascontiguousarray(pixels[above : above + high, left : left + wide])
        small = cv2.resize(cropped, (24, 20), interpolation=way)
    else:
        small = cv2.resize(np.ascontiguousarray(pixels), (24, 20), interpolation=way)
    return expected_numbers(small.reshape(20, 24, -1), steps)


def expected_numbers(shares: Array, steps: PreprocessingSettings) -> Array:
    match steps.scale:
        case "signed":
            numbers = shares * 2 - 1
        case "raw":
            numbers = shares * 255
        case "standardise":
            means, spreads = cv2.meanStdDev(np.ascontiguousarray(shares.reshape(-1, 1)))
            numbers = (shares - means.item()) / spreads.item()
        case _:
            numbers = shares
    numbers = (numbers - np.float32(steps.mean or 0)) / np.float32(steps.std or 1)
    numbers = numbers.round() if steps.dtype == "uint8" else numbers
    return numbers.transpose(2, 0, 1) if steps.order == "channels_first" else numbers


def tolerance_of(steps: PreprocessingSettings) -> float:
    return {"uint8": 1, "float16": 2e-3, "float32": 1e-3 if steps.scale == "raw" else 2e-5}[
        steps.dtype
    ]


@pytest.mark.parametrize(("name", "write", "bits", "channels"), SOURCES, ids=NAMES)
def test_every_preprocessing_of_it_is_what_opencv_computes(
    name: str, write: Callable[[Array], bytes], bits: int, channels: int
) -> None:
    pixels = scene(bits, channels)
    value = write(pixels)
    # Which compression and layout it was decides nothing any more.
    chosen = STEPS if not name.startswith("tiff") or "deflate strips <" in name else STEPS[:1]
    for steps in chosen:
        made = preprocess(value, replace(SPEC, preprocessing=steps))
        if channels == 5 and not isinstance(steps.channels, tuple):
            assert isinstance(made, Undecodable)
            assert made.reason == Reason.UNFIT
            continue
        assert not isinstance(made, Undecodable), made
        expected = expected_of(pixels, bits, steps)
        assert (expected.shape, steps.dtype) == (made.shape, made.dtype.name)
        off = np.abs(made.astype(np.float64) - expected).max()
        assert off <= tolerance_of(steps), (steps, off)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
def test_raw_frames_of_any_depth_are_shares_of_their_own_white(bits: int, channels: int) -> None:
    pixels = scene(bits, channels)
    raw = {"height_pixels": HEIGHT, "width_pixels": WIDTH, "channels": channels, "bits": bits}
    taken = PicturesSettings.model_validate({"formats": ("raw",), "raw": raw})
    steps = asked(channels=list(range(channels)))
    spec = replace(SPEC, pictures=taken, preprocessing=steps)
    made = preprocess(pixels.tobytes(), spec)
    assert not isinstance(made, Undecodable), made
    assert np.abs(made - expected_of(pixels, bits, steps)).max() <= 2e-5


@pytest.mark.parametrize("bits", [10, 12, 14])
def test_deep_pixels_in_16_bits_are_shares_of_the_white_that_the_file_states(bits: int) -> None:
    for channels in (1, 3):
        pixels = scene(bits, channels)
        for write in (tiff(), npy, png16):
            spec = replace(SPEC, preprocessing=asked(), grey_bits=bits)
            made = preprocess(write(pixels), spec)
            assert not isinstance(made, Undecodable), made
            assert np.abs(made - expected_of(pixels, bits, asked())).max() <= 2e-5


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("options", [{}, {"compression": "deflate", "tile": (16, 16)}])
def test_white_that_is_zero_is_white(bits: int, options: dict[str, Any]) -> None:
    pixels = scene(bits, 1)
    value = tiff(photometric="miniswhite", **options)(pixels)
    picture = read(*admitted(value, SPEC), SPEC)
    assert np.array_equal((1 << bits) - 1 - pixels, picture.samples)


def test_white_that_is_zero_of_fewer_bits_is_white_too() -> None:
    pixels = scene(12, 1)
    spec = replace(SPEC, grey_bits=12)
    picture = read(*admitted(tiff(photometric="miniswhite")(pixels), spec), spec)
    assert np.array_equal(4095 - pixels, picture.samples)


@pytest.mark.parametrize("mode", ["1", "P"])
@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits"])
def test_palettes_and_single_bits_are_seen_as_colours(mode: str, compression: str) -> None:
    image = Image.fromarray(scene(8, 3)).convert(mode)
    target = io.BytesIO()
    image.save(target, "TIFF", compression=compression)
    picture = read(*admitted(target.getvalue(), SPEC), SPEC)
    expected = np.asarray(image.convert("RGB"))
    assert np.array_equal(expected, np.broadcast_to(picture.samples, expected.shape))


@pytest.mark.parametrize("bits", [2, 4, 10, 12, 14])
@pytest.mark.parametrize("channels", [1, 3])
def test_packed_numbers_of_any_depth_are_unpacked(bits: int, channels: int) -> None:
    """Rows begin with a byte of their own; written here bit by bit, since few programs write it."""
    pixels = scene(16, channels) >> (16 - bits)
    digits = np.unpackbits(pixels.astype(">u2")[..., None].view(np.uint8), axis=-1)[
        ..., 16 - bits :
    ]
    rows = np.packbits(digits.reshape(HEIGHT, -1), axis=1)
    value = tiff(rowsperstrip=HEIGHT)(np.zeros((HEIGHT, WIDTH, channels), np.uint8))
    with tifffile.TiffFile(io.BytesIO(value)) as file:
        entries = file.pages[0].tags
        place = file.pages[0].dataoffsets[0]
        sizes = {entries[258]: [bits] * channels, entries[279]: [rows.size]}
    changed = bytearray(value[:place] + rows.tobytes())
    for tag, numbers in sizes.items():
        kind = {3: "<u2", 4: "<u4"}[int(tag.dtype)]
        content = np.array(numbers, kind).tobytes()
        changed[tag.valueoffset : tag.valueoffset + len(content)] = content
    picture = read(*admitted(bytes(changed), SPEC), SPEC)
    full = 255 // ((1 << bits) - 1) if bits < 8 else 1
    assert np.array_equal(pixels * full, picture.samples)
    assert max(bits, 8) == picture.bits


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
@pytest.mark.parametrize("layout", [{"rowsperstrip": 16}, {"tile": (16, 32)}])
def test_a_jpeg_in_a_tiff_is_what_libjpeg_makes_of_it(
    subsampling: tuple[int, int], layout: dict[str, Any]
) -> None:
    for channels, photometric in ((3, "ycbcr"), (3, "rgb"), (1, "minisblack")):
        target = io.BytesIO()
        tifffile.imwrite(
            target,
            squeezed(scene(8, channels)),
            compression="jpeg",
            photometric=photometric,
            subsampling=subsampling if photometric == "ycbcr" else None,
            metadata=None,
            **layout,
        )
        picture = read(*admitted(target.getvalue(), SPEC), SPEC)
        target.seek(0)
        assert np.array_equal(tifffile.imread(target), squeezed(picture.samples))


def jpeg_in_a_tiff(segment: bytes) -> bytes:
    """Wrap a JPEG into a TIFF of one strip, whose page says that its colours are RGB."""
    numbers = {
        256: WIDTH,
        257: HEIGHT,
        258: 8,
        259: 7,
        262: 2,
        273: 8 + 2 + 9 * 12 + 4 + 6,
        277: 3,
        278: HEIGHT,
        279: len(segment),
    }
    bits_at = 8 + 2 + len(numbers) * 12 + 4
    entries = [
        struct.pack("<HHIHH", tag, 3, 3, bits_at, 0)
        if tag == 258
        else struct.pack("<HHII", tag, 4, 1, number)
        for tag, number in numbers.items()
    ]
    directory = struct.pack("<H", len(numbers)) + b"".join(entries) + struct.pack("<I", 0)
    return b"II*\0\x08\0\0\0" + directory + struct.pack("<3H", 8, 8, 8) + segment


@pytest.mark.parametrize(
    "claim",
    [
        b"",
        b"\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0",
        b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\1",
    ],
    ids=["nothing", "JFIF, so YCbCr", "YCbCr"],
)
def test_what_a_jpeg_in_a_tiff_says_of_its_colours_does_not_count(claim: bytes) -> None:
    pixels = scene(8, 3)
    bare = imagecodecs.jpeg8_encode(pixels, level=100, colorspace="RGB", outcolorspace="RGB")
    # Its own word, `Adobe`, is the first segment: 16 bytes behind the begin.
    assert b"\xff\xee" == bare[2:4]
    value = jpeg_in_a_tiff(bare[:2] + claim + bare[18:])
    picture = read(*admitted(value, SPEC), SPEC)
    assert np.abs(picture.samples.astype(int) - pixels).max() <= 4


UPRIGHT: dict[int, Callable[[Array], Array]] = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.transpose(1, 0, 2),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda stored: np.rot90(stored, 1),
}


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_in_a_tiff_whose_tables_stand_apart_is_what_libjpeg_makes_of_it(mode: str) -> None:
    target = io.BytesIO()
    # libtiff writes the tables once, and many strips.
    image = Image.fromarray(scene(8, 3).repeat(9, axis=0)).convert(mode)
    image.save(target, "TIFF", compression="jpeg", tiffinfo={278: 64})
    with tifffile.TiffFile(io.BytesIO(target.getvalue())) as file:
        assert 347 in file.pages[0].tags
        assert len(file.pages[0].dataoffsets) > 1
        expected = file.asarray()
    picture = read(*admitted(target.getvalue(), SPEC), SPEC)
    assert np.array_equal(expected, squeezed(picture.samples))


@pytest.mark.parametrize("turn", UPRIGHT)
@pytest.mark.parametrize("kind", ["TIFF", "WEBP", "JPEG", "PNG"])
def test_each_orientation_is_undone_or_left_as_it_lies(kind: str, turn: int) -> None:
    exif, target = Image.Exif(), io.BytesIO()
    exif[0x0112] = turn
    image = Image.fromarray(cv2.GaussianBlur(scene(8, 3), (9, 9), 5))
    options = {"tiffinfo": {0x0112: turn}} if kind == "TIFF" else {"exif": exif, "lossless": True}
    image.save(target, kind, **options)
    # Pillow turns a TIFF by itself when it is loaded, and nothing else.
    stored = np.asarray(Image.open(target).convert("RGB") if kind == "JPEG" else image)
    steps = PreprocessingSettings(interpolation="nearest", scale="raw")
    for preprocessing, orientation in ((steps, "honour"), (steps, "ignore"), ("raw", "honour")):
        shown = UPRIGHT[turn](stored) if orientation == "honour" else stored
        spec = replace(
            SPEC,
            height_pixels=shown.shape[0],
            width_pixels=shown.shape[1],
            preprocessing=preprocessing,
            pictures=EVERY.model_copy(update={"orientation": orientation}),
        )
        made = preprocess(target.getvalue(), spec)
        assert not isinstance(made, Undecodable), made
        assert np.abs(made[0] - shown).max() <= 0.01
