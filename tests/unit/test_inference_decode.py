from __future__ import annotations

import io
import random
import struct
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFile

from frameferry.demo.surfaces import encode, picture
from frameferry.inference.card import Spec
from frameferry.inference.decode import NEARLY_BLACK, decode, decode_and_remark
from frameferry.inference.undecodable import Reason, Undecodable

SPEC = Spec(
    height_pixels=24,
    width_pixels=32,
    preprocessing="unit",
    labels=("good", "bad"),
    output="softmax",
    unsure=None,
    threshold=0.5,
    max_pixels=1_000_000,
    max_image_bytes=2_000_000,
)
ORIENTATION = 0x0112


def as_bytes(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def refused(value: bytes, spec: Spec = SPEC) -> Reason:
    result = decode(value, spec)
    assert isinstance(result, Undecodable), "it was decoded"
    assert len(result.detail) <= 200
    assert result.detail.isprintable()
    return result.reason


def shown(value: bytes, spec: Spec = SPEC) -> NDArray[np.int64]:
    result = decode(value, spec)
    assert not isinstance(result, Undecodable), result
    assert (spec.height_pixels, spec.width_pixels, 3) == result.shape
    assert np.uint8 == result.dtype
    return result.astype(int)


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )


ADAM7_OF_31_X_20 = [(4, 3), (4, 3), (8, 2), (8, 5), (16, 5), (15, 10), (31, 10)]
"""Width and rows of each pass, counted by hand."""


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", pixels) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def jpeg_claiming(width: int, height: int) -> bytes:
    value = as_bytes(Image.new("RGB", (16, 16)), "JPEG")
    place = value.index(b"\xff\xc0") + 5
    return value[:place] + struct.pack(">HH", height, width) + value[place + 4 :]


SCENE = picture(7, "scratch", (320, 240))
JPEG, PNG, BMP = (as_bytes(SCENE, kind) for kind in ("JPEG", "PNG", "BMP"))
USUAL = ["JPEG", "PNG", "BMP", "TIFF", "WEBP"]


@pytest.mark.parametrize("value", [as_bytes(SCENE, kind) for kind in USUAL], ids=USUAL)
def test_each_allowed_format_shows_the_scene(value: bytes) -> None:
    expected = np.asarray(SCENE.resize((32, 24), Image.Resampling.BILINEAR)).astype(int)
    assert np.abs(expected - shown(value)).mean() < 3


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"\0", Reason.NOT_AN_IMAGE),
        (b"\0" * 100_000, Reason.NOT_AN_IMAGE),
        (b"shift 3: nothing to report\n", Reason.NOT_AN_IMAGE),
        (b'{"image": null}', Reason.NOT_AN_IMAGE),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Reason.NOT_AN_IMAGE),
        (as_bytes(SCENE, "GIF"), Reason.FORMAT_NOT_ALLOWED),
        (b"II+\0\x08\0\0\0" + bytes(64), Reason.FORMAT_NOT_ALLOWED),
        (b"RIFF\x40\0\0\0WAVEfmt " + bytes(64), Reason.NOT_AN_IMAGE),
        (b"\0\0\0\x18ftypheic" + bytes(64), Reason.FORMAT_NOT_ALLOWED),
        (b"\xff\xd8\xff", Reason.TRUNCATED),
        (b"\xff\xd8\xff\xd9", Reason.DAMAGED),
        (b"\xff\xd8\xff\xe0\0\0\xff\xd9", Reason.DAMAGED),
        (b"\x89PNG\r\n\x1a\n", Reason.TRUNCATED),
        (b"\x89PNG\r\n\x1a\n" + png_chunk(b"IEND", b""), Reason.DAMAGED),
        (b"BM", Reason.NOT_AN_IMAGE),
        (b"BMW is a make of cars", Reason.NOT_AN_IMAGE),
        (BMP[:60], Reason.TRUNCATED),
        (BMP[:-1000], Reason.TRUNCATED),
        (PNG[: len(PNG) // 2], Reason.TRUNCATED),
        (PNG[:-20], Reason.TRUNCATED),
        (png_claiming(0, 5), Reason.DAMAGED),
        (png_claiming(40, 50), Reason.TRUNCATED),
        (png_claiming(30_000, 30_000), Reason.TOO_MANY_PIXELS),
        (png_claiming(2**31 - 1, 2**31 - 1), Reason.TOO_MANY_PIXELS),
        (jpeg_claiming(65_000, 65_000), Reason.TOO_MANY_PIXELS),
        (BMP[:18] + struct.pack("<ii", 60_000, 60_000) + BMP[26:], Reason.TOO_MANY_PIXELS),
    ],
    ids=lambda value: value.hex()[:16] if isinstance(value, bytes) else value.name,
)
def test_hostile_values_are_reasons(value: bytes, reason: Reason) -> None:
    assert reason == refused(value)


def test_a_bomb_is_refused_before_a_pixel_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(self: ImageFile.ImageFile) -> None:
        pytest.fail("it was decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", unreachable)
    assert refused(png_claiming(1001, 1000)) == Reason.TOO_MANY_PIXELS


def test_the_pixel_limit_is_met_exactly() -> None:
    picture_bytes = as_bytes(Image.new("RGB", (100, 50)), "PNG")
    shown(picture_bytes, replace(SPEC, max_pixels=5000))
    assert refused(picture_bytes, replace(SPEC, max_pixels=4999)) == Reason.TOO_MANY_PIXELS


def test_the_byte_limit_is_met_exactly() -> None:
    shown(JPEG, replace(SPEC, max_image_bytes=len(JPEG)))
    assert refused(JPEG, replace(SPEC, max_image_bytes=len(JPEG) - 1)) == Reason.TOO_LARGE


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}], ids=str
)
def test_a_jpeg_cut_anywhere_is_truncated(options: dict[str, Any]) -> None:
    whole = as_bytes(SCENE, "JPEG", **options)
    cuts = [*range(4, 700, 13), *range(700, len(whole) - 1, 97), len(whole) - 2, len(whole) - 1]
    reasons = {refused(whole[:cut]) for cut in cuts}
    assert {Reason.TRUNCATED} == reasons


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str
)
def test_a_jpeg_that_was_padded_after_a_cut_is_truncated(options: dict[str, Any]) -> None:
    whole = as_bytes(SCENE, "JPEG", **options)
    cut = whole[: len(whole) * 2 // 3]
    assert refused(cut + bytes(5000)) == Reason.TRUNCATED


@pytest.mark.parametrize("size", [(320, 240), (33, 17), (1000, 40)])
def test_a_jpeg_that_ends_early_but_neatly_is_not_silently_grey(size: tuple[int, int]) -> None:
    whole = as_bytes(picture(3, "hole", size), "JPEG")
    start = whole.index(b"\xff\xda") + 16
    for share in (0, 0.2, 0.5, 0.9):
        cut = whole[: start + int((len(whole) - start) * share)].rstrip(b"\xff")
        assert refused(cut + b"\xff\xd9") == Reason.TRUNCATED


def test_a_jpeg_that_lost_its_middle_is_refused() -> None:
    rng = random.Random(5)
    for options in ({}, {"restart_marker_rows": 1}):
        whole = as_bytes(SCENE, "JPEG", **options)
        start = whole.index(b"\xff\xda") + 16
        for _ in range(20):
            begin = rng.randrange(start, len(whole) - 3000)
            assert refused(whole[:begin] + whole[begin + 2500 :]) in {
                Reason.TRUNCATED,
                Reason.DAMAGED,
            }


def test_a_jpeg_that_lost_one_stretch_between_restart_markers_is_refused() -> None:
    whole = as_bytes(SCENE, "JPEG", restart_marker_rows=1)
    third, fourth = whole.index(b"\xff\xd3"), whole.index(b"\xff\xd4")
    assert refused(whole[:third] + whole[fourth:]) is Reason.DAMAGED


def test_a_whole_jpeg_of_any_make_is_decoded() -> None:
    for mode in ("RGB", "L", "CMYK"):
        for size in ((1, 1), (7, 9), (16, 16), (133, 97), (33, 1000)):
            for options in (
                {"subsampling": 0},
                {"subsampling": 2},
                {"progressive": True},
                {"optimize": True},
                {"restart_marker_blocks": 3},
            ):
                shown(as_bytes(SCENE.resize(size).convert(mode), "JPEG", quality=60, **options))


def test_what_follows_a_whole_jpeg_is_ignored() -> None:
    expected = shown(JPEG)
    for trailer in (b"\0" * 4096, b"camera 7", JPEG, b"\xff\xd8\xff" + bytes(10)):
        assert np.array_equal(expected, shown(JPEG + trailer))


def test_a_thumbnail_inside_does_not_confuse() -> None:
    thumbnail = as_bytes(SCENE.resize((40, 30)), "JPEG")
    segment = b"Exif\0\0" + thumbnail
    header = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    whole = JPEG[:2] + header + JPEG[2:]
    assert np.array_equal(shown(JPEG), shown(whole))
    assert refused(whole[:-500]) == Reason.TRUNCATED


def test_too_many_scans_are_refused() -> None:
    whole = as_bytes(SCENE, "JPEG", progressive=True)
    last = whole.rindex(b"\xff\xda")
    assert refused(whole[:-2] + whole[last:-2] * 80 + whole[-2:]) == Reason.DAMAGED


def test_damaged_png_pixels_are_refused() -> None:
    middle = len(PNG) // 2
    assert refused(PNG[:middle] + bytes(64) + PNG[middle + 64 :]) == Reason.DAMAGED


def test_a_png_whose_pixels_do_not_fit_their_crc_is_refused_though_it_can_be_decoded() -> None:
    smooth = as_bytes(Image.linear_gradient("L"), "PNG")
    flips = range(60, len(smooth) - 20, 29)
    damaged = [smooth[:at] + bytes([smooth[at] ^ 1]) + smooth[at + 1 :] for at in flips]
    assert len(damaged) > 5
    assert {Reason.DAMAGED} == {refused(value) for value in damaged}


def test_a_png_whose_end_does_not_fit_its_crc_is_refused() -> None:
    assert Reason.DAMAGED == refused(PNG[:-1] + bytes([PNG[-1] ^ 1]))


def test_a_png_without_its_end_is_refused_wherever_it_ends() -> None:
    cuts = [PNG[:at] for at in range(40, len(PNG), len(PNG) // 20)]
    assert {Reason.TRUNCATED} == {refused(value) for value in cuts}


@pytest.mark.parametrize("colour_type", [0, 2, 3, 4, 6])
@pytest.mark.parametrize("interlace", [0, 1])
def test_a_png_whose_pixels_end_early_in_good_order_is_refused(
    colour_type: int, interlace: int
) -> None:
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    columns = [(31, 20)] if not interlace else ADAM7_OF_31_X_20
    rows = [
        bytes(1) + bytes([77]) * (width * channels)
        for width, count in columns
        for _ in range(count)
    ]
    header = struct.pack(">IIBBBBB", 31, 20, 8, colour_type, 0, 0, interlace)
    palette = png_chunk(b"PLTE", bytes(range(3)) * 100) if colour_type == 3 else b""

    def picture(count: int) -> bytes:
        pixels = png_chunk(b"IDAT", zlib.compress(b"".join(rows[:count])))
        chunks = png_chunk(b"IHDR", header) + palette + pixels + png_chunk(b"IEND", b"")
        return b"\x89PNG\r\n\x1a\n" + chunks

    assert shown(picture(len(rows))).any()
    assert {Reason.TRUNCATED} == {refused(picture(count)) for count in range(1, len(rows))}


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "I;16"])
def test_a_png_that_is_black_below_is_no_short_one(mode: str) -> None:
    # As many bytes as are unpacked in several blocks.
    scene = Image.new("RGB", (1200, 900), "white")
    scene.paste("black", (0, 450, 1200, 900))
    value = as_bytes(scene.convert("L").convert(mode), "PNG")
    assert not isinstance(decode(value, replace(SPEC, max_pixels=2_000_000)), Undecodable)


def test_an_animated_png_is_refused() -> None:
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue")]
    value = as_bytes(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert refused(value) == Reason.ANIMATED


RED = (200, 40, 30)


@pytest.mark.parametrize(
    "image",
    [
        Image.new("RGB", (50, 40), RED),
        Image.new("RGBA", (50, 40), (*RED, 0)),
        Image.new("RGB", (50, 40), RED).quantize(4),
    ],
    ids=lambda image: image.mode,
)
def test_coloured_modes_keep_their_colour_and_drop_alpha(image: Image.Image) -> None:
    assert np.abs(shown(as_bytes(image, "PNG")) - RED).max() <= 1


def test_a_palette_with_transparency_is_decoded() -> None:
    image = Image.new("RGB", (50, 40), RED).quantize(4)
    value = as_bytes(image, "PNG", transparency=bytes([0, 128, 255, 255]))
    assert np.abs(shown(value) - RED).max() <= 1


@pytest.mark.parametrize(
    ("image", "grey"),
    [
        (Image.new("L", (50, 40), 77), 77),
        (Image.new("LA", (50, 40), (77, 3)), 77),
        (Image.new("1", (50, 40), 1), 255),
        (Image.fromarray(np.full((40, 50), 0x4D33, np.uint16)), 0x4D),
        (Image.fromarray(np.full((40, 50), 0xFFFF, np.uint16)), 0xFF),
    ],
    ids=["L", "LA", "1", "16 bit", "16 bit white"],
)
def test_grey_modes_become_grey_rgb(image: Image.Image, grey: int) -> None:
    assert {grey} == set(shown(as_bytes(image, "PNG")).flatten().tolist())


def deep_png(pixels: NDArray[np.uint16], *, has_alpha: bool, is_filtered: bool = True) -> bytes:
    """Write 16-bit grey; its rows are filtered by what is on the left, as encoders do."""
    rows = pixels.astype(">u2")
    if has_alpha:
        rows = np.stack([rows, np.full_like(rows, 0x0102)], axis=-1).astype(">u2")
    flat = rows.view(np.uint8).reshape(len(pixels), -1)
    if is_filtered:
        step = 4 if has_alpha else 2
        flat = np.concatenate([flat[:, :step], flat[:, step:] - flat[:, :-step]], axis=1)
    data = b"".join(bytes([is_filtered]) + row.tobytes() for row in flat)
    header = struct.pack(">IIBBBBB", *pixels.shape[::-1], 16, 4 if has_alpha else 0, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(data))
    return b"\x89PNG\r\n\x1a\n" + chunks + png_chunk(b"IEND", b"")


@pytest.mark.parametrize("has_alpha", [False, True])
@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_grey_that_uses_a_part_of_its_bits_is_seen_in_full(bits: int, has_alpha: bool) -> None:
    scene = np.asarray(SCENE.convert("L")).astype(np.uint16)
    noise = np.random.default_rng(5).integers(0, 1 << (bits - 8), scene.shape, np.uint16)
    value = deep_png((scene << (bits - 8)) | noise, has_alpha=has_alpha)
    expected = shown(as_bytes(SCENE.convert("L"), "PNG"))
    assert np.array_equal(expected, shown(value, replace(SPEC, grey_bits=bits)))
    if bits == 12:
        assert shown(value).max() < 16, "the upper bits alone are nearly black"
        too_few = shown(value, replace(SPEC, grey_bits=10))
        assert {255} == set(too_few[expected >= 70].tolist())


@pytest.mark.parametrize(
    ("brightest", "is_remarkable"),
    [(0, False), (255, False), (300, True), (4095, True), (4096, False), (65_535, False)],
)
@pytest.mark.parametrize("has_alpha", [False, True])
def test_grey_that_is_nearly_black_so_is_remarked(
    brightest: int, is_remarkable: bool, has_alpha: bool
) -> None:
    pixels = np.zeros((20, 30), np.uint16)
    pixels[3, 4] = brightest
    value = deep_png(pixels, has_alpha=has_alpha)
    assert (NEARLY_BLACK if is_remarkable else "") == decode_and_remark(value, SPEC)[1]
    assert decode_and_remark(value, replace(SPEC, grey_bits=12))[1] == ""
    for other in (JPEG, PNG, as_bytes(Image.new("L", (9, 9), 3), "PNG"), PNG[:99]):
        assert decode_and_remark(other, SPEC)[1] == ""


@pytest.mark.parametrize("grey_bits", [8, 12])
def test_other_pictures_do_not_mind_how_many_bits_grey_uses(grey_bits: int) -> None:
    for value in (JPEG, PNG, BMP, as_bytes(SCENE.convert("L"), "PNG")):
        assert np.array_equal(shown(value), shown(value, replace(SPEC, grey_bits=grey_bits)))


def test_cmyk_becomes_rgb() -> None:
    value = as_bytes(Image.new("RGB", (50, 40), RED).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(shown(value) - RED).max() < 12


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_honoured(turn: int, kind: str) -> None:
    upright = np.zeros((240, 320, 3), np.uint8)
    upright[:120, :160], upright[:120, 160:], upright[120:, :160] = (
        RED,
        (30, 180, 40),
        (20, 30, 220),
    )
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[turn]
    exif = Image.Exif()
    exif[ORIENTATION] = turn
    value = as_bytes(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
    expected = upright[5::10, 5::10].astype(int)
    assert np.abs(expected - shown(value)).mean() < 5


@pytest.mark.parametrize(
    "exif",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0",
    ],
)
def test_senseless_exif_leaves_the_picture_as_it_lies(exif: bytes) -> None:
    segment = exif or b"\0"
    header = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    assert np.array_equal(shown(JPEG), shown(JPEG[:2] + header + JPEG[2:]))


def test_every_reason_has_a_meaning_of_its_own() -> None:
    assert len(Reason) == len({reason.meaning for reason in Reason})
    assert all(reason.meaning.endswith(".") for reason in Reason)
    assert Reason.TRUNCATED == "truncated"


def test_jpeg_and_png_of_one_scene_look_alike() -> None:
    scene = picture(11, "stain", (640, 480))
    difference = shown(encode(scene, "JPEG")) - shown(encode(scene, "PNG"))
    assert np.abs(difference).mean() < 3
