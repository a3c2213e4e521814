"""Each format beside JPEG, PNG and BMP: what is cut, lies or is a bomb has a reason, in no time."""

from __future__ import annotations

import gzip
import io
import random
import struct
from dataclasses import replace
from time import process_time
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from frameferry.config.pictures import FORMATS, PicturesSettings
from frameferry.inference.card import Spec
from frameferry.inference.pictures import tiff_directory as tags
from frameferry.inference.preprocess import preprocess
from frameferry.inference.undecodable import Reason, Undecodable

EVERY = PicturesSettings(
    formats=tuple(one for one in FORMATS if one != "raw"), unpack=("gzip", "zstd")
)
SPEC = Spec(16, 20, "unit", ("a", "b"), "softmax", None, 0.5, 20_000, 500_000, pictures=EVERY)
SECONDS = 1.0
CUT = {Reason.TRUNCATED, Reason.DAMAGED}
SCENE = np.random.default_rng(3).integers(0, 256, (60, 80, 3), np.uint8)
SCENE[:20] = 200


def tiff(pixels: NDArray[Any] = SCENE, **options: Any) -> bytes:
    target = io.BytesIO()
    options.setdefault("photometric", "rgb" if pixels.ndim == 3 else "minisblack")
    tifffile.imwrite(target, pixels, metadata=None, **options)
    return target.getvalue()


def as_bytes(file_format: str, **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(SCENE).save(target, file_format, **options)
    return target.getvalue()


def npy(pixels: NDArray[Any]) -> bytes:
    target = io.BytesIO()
    np.save(target, pixels)
    return target.getvalue()


WHOLE = {
    "tiff": tiff(),
    "tiff strips": tiff(rowsperstrip=7),
    "tiff lzw": tiff(compression="lzw", predictor=True, rowsperstrip=16),
    "tiff deflate": tiff(compression="deflate", rowsperstrip=16),
    "tiff packbits": tiff(compression="packbits"),
    "tiff zstd": tiff(compression="zstd"),
    "tiff jpeg": tiff(compression="jpeg", rowsperstrip=16),
    "tiff jpeg tables": as_bytes("TIFF", compression="jpeg"),
    "tiff tiles": tiff(tile=(32, 32), compression="deflate"),
    "webp": as_bytes("WEBP"),
    "webp lossless": as_bytes("WEBP", lossless=True),
    "gif": as_bytes("GIF"),
    "jpeg2000": imagecodecs.jpeg2k_encode(SCENE, level=0, reversible=True),
    "jpeg2000 bare": imagecodecs.jpeg2k_encode(SCENE, codecformat="J2K"),
    "jpegxl": imagecodecs.jpegxl_encode(SCENE),
    "jpegxl 16": imagecodecs.jpegxl_encode(SCENE.astype(np.uint16) * 257, lossless=True),
    "npy": npy(SCENE),
}


def looked_at(value: bytes, spec: Spec = SPEC) -> NDArray[Any] | Undecodable:
    began = process_time()
    result = preprocess(value, spec)
    assert SECONDS > process_time() - began
    if isinstance(result, Undecodable):
        assert result.detail
        assert result.detail.isprintable()
        assert len(result.detail) <= 200
    else:
        assert result.shape == (1, 16, 20, 3)
    return result


def refused(value: bytes, spec: Spec = SPEC) -> Reason:
    result = looked_at(value, spec)
    assert isinstance(result, Undecodable), "it was decoded"
    return result.reason


def tagged(value: bytes, tag: int, number: int, count: int | None = None) -> bytes:
    """Change a tag's number, or its offset, in the first directory of a little-endian TIFF."""
    (place,) = struct.unpack_from("<L", value, 4)
    (entries,) = struct.unpack_from("<H", value, place)
    for entry in range(place + 2, place + 2 + 12 * entries, 12):
        found, kind, length = struct.unpack_from("<HHL", value, entry)
        if found == tag:
            count = length if count is None else count
            new = struct.pack("<HHLL", tag, kind, count, number)
            return value[:entry] + new + value[entry + 12 :]
    pytest.fail(f"no tag {tag}")


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_whole_is_seen_and_what_follows_it_is_ignored(kind: str) -> None:
    whole = looked_at(WHOLE[kind])
    assert not isinstance(whole, Undecodable), whole
    with_more = looked_at(WHOLE[kind] + b"camera 7" * 99)
    assert np.array_equal(whole, with_more)


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_cut_anywhere_is_refused(kind: str) -> None:
    whole = WHOLE[kind]
    # Without its last byte, a GIF, and a TIFF whose last bytes are no pixels, are whole.
    last = len(whole) - (60 if kind.startswith(("gif", "tiff")) else 1)
    for cut in (*range(12, last, max(1, len(whole) // 17)), last):
        reasons = {Reason.TRUNCATED} if kind.startswith(("tiff", "webp")) else CUT
        assert refused(whole[:cut]) in reasons, cut


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_larger_than_allowed_is_not_decoded(kind: str) -> None:
    assert refused(WHOLE[kind], replace(SPEC, max_pixels=4799)) == Reason.TOO_MANY_PIXELS
    assert not isinstance(looked_at(WHOLE[kind], replace(SPEC, max_pixels=4800)), Undecodable)


@pytest.mark.parametrize("kind", WHOLE)
def test_what_is_not_listed_is_not_decoded(kind: str) -> None:
    listed = PicturesSettings(formats=("bmp",))
    assert refused(WHOLE[kind], replace(SPEC, pictures=listed)) == Reason.FORMAT_NOT_ALLOWED


@pytest.mark.parametrize("kind", WHOLE)
def test_no_edited_bytes_raise_or_take_long(kind: str) -> None:
    rng = random.Random(kind)
    whole = WHOLE[kind]
    for _ in range(60):
        value = bytearray(whole)
        for _ in range(rng.randrange(1, 5)):
            # Headers decide most, so that they are met more often.
            place = rng.randrange(min(len(value), rng.choice([40, 400, len(value)])))
            value[place] = rng.choice([0, 1, 127, 128, 255, rng.randrange(256)])
        looked_at(bytes(value))


@pytest.mark.parametrize(
    ("tag", "number", "reason"),
    [
        (tags.WIDTH, 1 << 30, Reason.TOO_MANY_PIXELS),
        (tags.HEIGHT, 0, Reason.DAMAGED),
        (tags.HEIGHT, 61, Reason.TRUNCATED),
        (tags.HEIGHT, 200, Reason.DAMAGED),
        (tags.WIDTH, 81, Reason.TRUNCATED),
        (tags.ROWS_PER_STRIP, 0, Reason.DAMAGED),
        (tags.CHANNELS, 40_000, Reason.TOO_MANY_PIXELS),
        (tags.CHANNELS, 1, Reason.FORMAT_NOT_ALLOWED),
        (tags.COMPRESSION, 34887, Reason.FORMAT_NOT_ALLOWED),
        (tags.COMPRESSION, 6, Reason.FORMAT_NOT_ALLOWED),
        (tags.PHOTOMETRIC, 8, Reason.FORMAT_NOT_ALLOWED),
    ],
)
def test_a_tiff_that_lies_is_refused(tag: int, number: int, reason: Reason) -> None:
    assert refused(tagged(WHOLE["tiff strips"], tag, number)) == reason


def test_directories_that_go_round_or_on_for_ever_are_refused() -> None:
    value = WHOLE["tiff"]
    (place,) = struct.unpack_from("<L", value, 4)
    (entries,) = struct.unpack_from("<H", value, place)
    following = place + 2 + 12 * entries
    round_and_round = value[:following] + struct.pack("<L", place) + value[following + 4 :]
    assert refused(round_and_round) == Reason.DAMAGED
    many = b"".join(struct.pack("<HL", 0, 14 + 6 * number) for number in range(70_000))
    assert refused(b"II*\0\x08\0\0\0" + many) == Reason.DAMAGED
    long = looked_at(b"II*\0\x08\0\0\0" + struct.pack("<H", 30_000) + bytes(400_000))
    assert isinstance(long, Undecodable)
    assert "30,000 entries" in long.detail
    tables = tagged(WHOLE["tiff jpeg tables"], tags.JPEG_TABLES, 8, 1_200_000)
    many_numbers = looked_at(tables + bytes(1_200_000), replace(SPEC, max_image_bytes=10**7))
    assert isinstance(many_numbers, Undecodable)
    assert "1,200,000 numbers" in many_numbers.detail


def test_strips_that_lie_on_each_other_are_no_way_to_make_much_of_little() -> None:
    value = tiff(np.zeros((4000, 2), np.uint8), rowsperstrip=1, compression="deflate")
    place = len(value)
    with tifffile.TiffFile(io.BytesIO(value)) as file:
        first = file.pages[0].dataoffsets[0]
    # Each is the first one, whole, and much behind it.
    much = struct.pack("<4000L", *[first] * 4000) + struct.pack("<4000L", *[300_000] * 4000)
    value = tagged(value, tags.STRIP_OFFSETS, place)
    value = tagged(value, tags.STRIP_BYTES, place + 16_000)
    assert refused(value + much + bytes(300_000)) == Reason.DAMAGED


def test_a_strip_that_unpacks_to_more_or_less_than_its_rows() -> None:
    bomb = tiff(np.zeros((130, 140), np.uint8), compression="deflate")
    less = tagged(bomb, tags.HEIGHT, 142)
    assert refused(tagged(less, tags.ROWS_PER_STRIP, 142)) == Reason.TRUNCATED
    more = tagged(tagged(bomb, tags.HEIGHT, 3), tags.ROWS_PER_STRIP, 3)
    # The rest is not unpacked, as of any strip whose rows are fewer than its bytes.
    assert not isinstance(looked_at(more), Undecodable)


def test_a_strip_that_is_not_there_is_not_black() -> None:
    value = WHOLE["tiff deflate"]
    assert refused(tagged(value, tags.STRIP_BYTES, 0, 0)) == Reason.DAMAGED
    hole = tiff(rowsperstrip=60, compression="deflate")
    assert refused(tagged(hole, tags.STRIP_BYTES, 0)) == Reason.TRUNCATED
    with tifffile.TiffFile(io.BytesIO(hole)) as file:
        [size] = file.pages[0].databytecounts
    assert not isinstance(looked_at(tagged(hole, tags.STRIP_BYTES, size)), Undecodable)
    # All of its rows, but not the end by which it is known to be right.
    assert refused(tagged(hole, tags.STRIP_BYTES, size - 1)) == Reason.TRUNCATED


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (np.zeros((9, 9), np.float32), {}),
        (np.zeros((9, 9), np.int16), {}),
        (np.zeros((9, 9), np.uint32), {}),
        (SCENE, {"compression": "lzma"}),
        (SCENE, {"compression": "jpeg2000"}),
        (SCENE, {"compression": "webp"}),
        (np.zeros((9, 9, 4), np.uint8), {"photometric": "separated"}),
    ],
)
def test_a_tiff_of_a_kind_that_is_not_read_says_so(pixels: Any, options: Any) -> None:
    assert refused(tiff(pixels, **options)) == Reason.FORMAT_NOT_ALLOWED


def test_a_page_is_chosen_or_there_is_only_one() -> None:
    target = io.BytesIO()
    with tifffile.TiffWriter(target) as writer:
        for grey in (10, 20, 30):
            writer.write(np.full((9, 9), grey, np.uint8), metadata=None)
        # A smaller copy for viewers is no page.
        writer.write(np.full((3, 3), 99, np.uint8), metadata=None, subfiletype=1)
    value = target.getvalue()
    assert refused(value) == Reason.ANIMATED
    for page in range(3):
        chosen = EVERY.model_copy(update={"page": page})
        seen = looked_at(value, replace(SPEC, pictures=chosen, preprocessing="raw"))
        assert {10.0 + 10 * page} == set(np.asarray(seen).flatten().tolist())
    beyond = EVERY.model_copy(update={"page": 3})
    assert refused(value, replace(SPEC, pictures=beyond)) == Reason.UNFIT


@pytest.mark.parametrize("kind", ["WEBP", "GIF"])
def test_what_moves(kind: str) -> None:
    frames = [Image.fromarray(np.full((60, 80, 3), grey, np.uint8)) for grey in (40, 200)]
    target = io.BytesIO()
    frames[0].save(target, kind, save_all=True, append_images=frames[1:], lossless=True)
    if kind == "WEBP":
        assert refused(target.getvalue()) == Reason.ANIMATED
    else:
        seen = looked_at(target.getvalue(), replace(SPEC, preprocessing="raw"))
        assert {40.0} == set(np.asarray(seen).flatten().tolist())


def test_a_webp_that_claims_a_large_canvas_is_refused_by_it() -> None:
    still = WHOLE["webp"]
    canvas = struct.pack("<4sLL", b"VP8X", 10, 0) + b"\xff\xff\0" * 2
    value = b"RIFF" + struct.pack("<L", len(still) - 8 + 18) + b"WEBP" + canvas + still[12:]
    assert refused(value) == Reason.TOO_MANY_PIXELS
    small = canvas[:12] + struct.pack("<L", 9)[:3] * 2
    value = b"RIFF" + struct.pack("<L", len(still) - 8 + 18) + b"WEBP" + small + still[12:]
    assert refused(value) == Reason.DAMAGED


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((9, 9), np.float32),
        np.zeros((9, 9), np.int64),
        np.zeros(9, np.uint8),
        np.zeros((2, 9, 9, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_picture(array: Any) -> None:
    assert refused(npy(array)) == Reason.UNFIT


def test_an_array_is_never_unpickled() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (pytest.fail, ("it was unpickled",))

    target = io.BytesIO()
    np.save(target, np.array([[Trap()]], dtype=object), allow_pickle=True)
    assert refused(target.getvalue()) == Reason.UNFIT
    long = b"\x93NUMPY\2\0" + struct.pack("<L", 400_000) + b"(" * 400_000
    assert refused(long) == Reason.DAMAGED


def test_arrays_of_either_order_are_seen_alike() -> None:
    deep = SCENE.astype(np.uint16) * 257
    expected = looked_at(npy(deep))
    for other in (np.asfortranarray(deep), deep.astype(">u2")):
        assert np.array_equal(expected, looked_at(npy(other)))
    assert refused(npy(deep)[:-1]) == Reason.TRUNCATED


def zstd(value: bytes) -> bytes:
    packed: bytes = pa.Codec("zstd").compress(value, asbytes=True)
    return packed


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_what_is_packed_is_unpacked_and_no_further_than_allowed(pack: Any) -> None:
    assert np.array_equal(looked_at(WHOLE["tiff"]), looked_at(pack(WHOLE["tiff"]) + b""))
    assert refused(pack(bytes(10**6))) == Reason.TOO_LARGE
    assert refused(pack(b"")) == Reason.EMPTY
    assert refused(pack(pack(WHOLE["tiff"]))) == Reason.FORMAT_NOT_ALLOWED
    for cut in (12, 500, -1):
        assert refused(pack(WHOLE["tiff"])[:cut]) in {Reason.TRUNCATED, Reason.DAMAGED}
    plain = EVERY.model_copy(update={"unpack": ()})
    assert refused(pack(WHOLE["tiff"]), replace(SPEC, pictures=plain)) == Reason.FORMAT_NOT_ALLOWED


@pytest.mark.parametrize(
    ("bits", "order"), [(8, "little"), (12, "little"), (16, "big"), (12, "big")]
)
def test_a_raw_frame_is_what_the_file_says(bits: int, order: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 1 << bits, (16, 20), np.uint16)
    raw = {"height_pixels": 16, "width_pixels": 20, "bits": bits, "byte_order": order}
    taken = PicturesSettings.model_validate({"formats": ("raw",), "raw": raw})
    spec = replace(SPEC, pictures=taken, preprocessing="raw")
    stored = np.dtype(np.uint8 if bits == 8 else np.uint16).newbyteorder(order)
    value = pixels.astype(stored).tobytes()
    seen = looked_at(value, spec)
    assert np.array_equal(pixels >> (bits - 8), np.asarray(seen)[0, ..., 0])
    assert refused(value[:-1], spec) == Reason.TRUNCATED
    assert refused(value + b"\0", spec) == Reason.DAMAGED
