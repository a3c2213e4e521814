"""What stands around the pixels condemns no picture, and costs nothing: it is not read."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable
from time import perf_counter
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from frameferry.demo.surfaces import picture
from frameferry.inference.card import Spec
from frameferry.inference.decode import decode
from frameferry.inference.undecodable import Reason, Undecodable

SPEC = Spec(24, 32, "unit", ("good", "bad"), "softmax", None, 0.5, 1_000_000, 50 * 2**20)
SCENE = picture(7, "scratch", (320, 240))
TURNED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x03\0\0\0\0\0\0\0"
"""An EXIF block of one entry: the picture stands on its head."""
BOMB = zlib.compress(bytes(64 * 2**20))
SECONDS = 3.0


def as_bytes(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


PNG, JPEG = as_bytes(SCENE, "PNG"), as_bytes(SCENE, "JPEG")


def shown(value: bytes) -> NDArray[np.uint8]:
    began = perf_counter()
    result = decode(value, SPEC)
    assert SECONDS > perf_counter() - began
    assert not isinstance(result, Undecodable), result
    return result


def refused(value: bytes) -> Reason:
    began = perf_counter()
    result = decode(value, SPEC)
    assert SECONDS > perf_counter() - began
    assert isinstance(result, Undecodable), "it was decoded"
    return result.reason


def chunk(kind: bytes, content: bytes, *, crc: int | None = None) -> bytes:
    crc = zlib.crc32(kind + content) if crc is None else crc
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def png_with(*chunks: bytes, value: bytes = PNG, before: bytes = b"IDAT") -> bytes:
    place = value.index(before) - 4
    return value[:place] + b"".join(chunks) + value[place:]


def segment(code: int, content: bytes) -> bytes:
    return bytes([0xFF, code]) + struct.pack(">H", len(content) + 2) + content


def jpeg_with(*segments: bytes, value: bytes = JPEG) -> bytes:
    return value[:2] + b"".join(segments) + value[2:]


TEXT = b"inspection\0"
ANCILLARY: dict[str, Iterable[bytes]] = {
    "tEXt of 5 MB": [chunk(b"tEXt", TEXT + b"x" * 5_000_000)],
    "zTXt of 2 MB": [chunk(b"zTXt", TEXT + b"\0" + zlib.compress(b"x" * 2_000_000))],
    "XMP of 2 MB": [chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b"x" * 2_000_000)],
    "bombs in zTXt": [chunk(b"zTXt", TEXT + b"\0" + BOMB)] * 100,
    "bombs in iTXt": [chunk(b"iTXt", TEXT + b"\1\0\0\0" + BOMB)] * 100,
    "a bomb for a profile": [chunk(b"iCCP", b"sRGB\0\0" + BOMB)],
    "a profile of 1.5 MB": [chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(1_500_000)))],
    "a profile without a name's end": [chunk(b"iCCP", b"sRGB")],
    "a profile packed otherwise": [chunk(b"iCCP", b"sRGB\0\7x")],
    "zTXt packed otherwise": [chunk(b"zTXt", TEXT + b"\7x")],
    "many texts": [chunk(b"tEXt", TEXT + b"x" * 70)] * 100_000,
    "a text that is called as Pillow's own": [
        chunk(b"tEXt", key + b"\0x") for key in (b"transparency", b"bbox", b"interlace", b"exif")
    ],
    "short numbers": [chunk(kind, b"\0") for kind in (b"pHYs", b"gAMA", b"cHRM", b"tIME", b"sBIT")],
    "nothing in them": [chunk(kind, b"") for kind in (b"sRGB", b"bKGD", b"hIST", b"sPLT", b"tRNS")],
    "wrong CRCs": [
        chunk(kind, bytes(9), crc=1)
        for kind in (b"pHYs", b"gAMA", b"cHRM", b"tIME", b"tEXt", b"iCCP", b"eXIf", b"tRNS")
    ],
    "unknown and private ones": [
        chunk(b"vpAg", bytes(9)),
        chunk(b"spPl", b""),
        chunk(b"raNd", b""),
    ],
    "twice what may be once": [chunk(b"gAMA", bytes(4))] * 2 + [chunk(b"sRGB", b"\0")] * 2,
    "EXIF that makes no sense": [chunk(b"eXIf", b"II*\0\xff\xff\xff\xff")],
    "EXIF that ends early": [chunk(b"eXIf", TURNED[:18])],
    "a palette that is only proposed": [chunk(b"PLTE", bytes(3), crc=1), chunk(b"PLTE", b"x")],
    "frames that are none": [chunk(b"acTL", b"\0\0"), chunk(b"acTL", bytes(8))],
    "frames with a wrong CRC": [chunk(b"acTL", struct.pack(">II", 7, 0), crc=1)],
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("chunks", ANCILLARY.values(), ids=ANCILLARY)
def test_no_ancillary_chunk_condemns_a_png(chunks: list[bytes], before: bytes) -> None:
    assert np.array_equal(shown(PNG), shown(png_with(*chunks, before=before)))


@pytest.mark.parametrize("mode", ["1", "L", "RGB", "P", "I;16"])
def test_transparency_whole_or_broken_leaves_the_pixels(mode: str) -> None:
    scene = SCENE.quantize(16) if mode == "P" else SCENE.convert("L").convert(mode)
    value = as_bytes(scene, "PNG")
    expected = shown(value)
    for content in (b"", b"\0", bytes(2), bytes(6), bytes(300)):
        for crc in (None, 1):
            assert np.array_equal(
                expected, shown(png_with(chunk(b"tRNS", content, crc=crc), value=value))
            )


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_exif_turns_a_png_wherever_it_stands(before: bytes) -> None:
    expected = np.rot90(shown(PNG), 2)
    found = shown(png_with(chunk(b"eXIf", TURNED), before=before))
    assert np.abs(expected.astype(int) - found).max() <= 1
    broken = png_with(chunk(b"eXIf", TURNED, crc=1), before=before)
    assert np.array_equal(shown(PNG), shown(broken))


def test_frames_are_counted_as_before() -> None:
    def frames(number: int) -> bytes:
        return chunk(b"acTL", struct.pack(">II", number, 0))

    assert Reason.ANIMATED == refused(png_with(frames(2)))
    for chunks in ([frames(1)], [frames(0)], [frames(2), frames(2)], [frames(2**32 - 1)]):
        assert np.array_equal(shown(PNG), shown(png_with(*chunks)))
    assert np.array_equal(shown(PNG), shown(png_with(frames(2), before=b"IEND")))


def test_the_word_of_a_wrong_length_is_damaged_and_of_a_cut_truncated() -> None:
    long = struct.pack(">I", 2**31) + b"tEXt" + b"x"
    assert Reason.DAMAGED == refused(png_with(long))
    assert Reason.TRUNCATED == refused(png_with(long)[:-12])
    assert Reason.DAMAGED == refused(png_with(chunk(b"te t", b"")))
    assert Reason.DAMAGED == refused(png_with(chunk(b"IHDR", b"", crc=1)))
    assert Reason.DAMAGED == refused(
        jpeg_with(b"\xff\xe2\xff\xffICC", value=JPEG[:9000] + JPEG[-2:])
    )
    assert Reason.TRUNCATED == refused(jpeg_with(b"\xff\xe2\xff\xffICC", value=JPEG[:9000]))


def test_numbers_of_pieces_without_an_end_are_refused_in_time() -> None:
    assert Reason.DAMAGED == refused(png_with(chunk(b"teXt", b"") * 250_000))
    assert Reason.DAMAGED == refused(jpeg_with(segment(0xE5, b"") * 1_000_000))
    assert np.array_equal(
        shown(JPEG), shown(jpeg_with(segment(0xE1, b"Exif\0\0" + bytes(65_000)) * 700))
    )


JFIF = b"JFIF\0\1\1\0\0\1\0\1\0\0"
BESIDE: dict[str, list[bytes]] = {
    "a profile without its numbers": [segment(0xE2, b"ICC_PROFILE\0")],
    "pieces of a profile that do not fit": [segment(0xE2, b"ICC_PROFILE\0\7\2" + bytes(99))] * 3,
    "EXIF that ends early": [segment(0xE1, b"Exif\0\0" + TURNED[:18])],
    "EXIF of nothing": [segment(0xE1, b"Exif\0\0")],
    "EXIF whose resolution is none": [
        segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x1a\0\5\0\0\0\1\xff\xff\xff\xff")
    ],
    "XMP that goes on": [
        segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + b"x" * 65_000),
        segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + bytes(40)),
    ],
    "several pictures": [segment(0xE2, b"MPF\0II*\0\xff\xff\xff\xff")],
    "Photoshop's": [segment(0xED, b"Photoshop 3.0\0008BIM\x03\xed\0\0\0\0\0\x02\0\0")],
    "Photoshop's, short": [segment(0xED, b"Photoshop 3.0\0008BIM\x04\x04")],
    "a short JFIF": [segment(0xE0, b"JFIF"), segment(0xE0, b"JFIF\0\1")],
    "JFIF twice": [segment(0xE0, JFIF), segment(0xE0, b"JFXX\0\x10" + bytes(9))],
    "a short Adobe": [segment(0xEE, b"Adobe")],
    "FlashPix, Ducky, C2PA": [
        segment(0xE2, b"FPXR\0"),
        segment(0xEC, b"Ducky"),
        segment(0xEB, b"JP" + bytes(60)),
    ],
    "every one, empty": [segment(code, b"") for code in [*range(0xE0, 0xF0), 0xFE]],
    "a length of nothing": [b"\xff\xe5\0\0"],
    "a comment of a marker's bytes": [segment(0xFE, b"\xff\xd9\xff\xda\xff\xd8")],
    "bytes that belong to nothing": [segment(0xE7, b"x"), b"\0\1\2", b"\xff" * 5],
}


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str
)
@pytest.mark.parametrize("segments", BESIDE.values(), ids=BESIDE)
def test_no_segment_beside_the_pixels_condemns_a_jpeg(
    segments: list[bytes], options: dict[str, Any]
) -> None:
    value = as_bytes(SCENE, "JPEG", **options)
    assert np.array_equal(shown(value), shown(jpeg_with(*segments, value=value)))
    last = value.rindex(b"\xff\xda")
    late = value[:last] + b"".join(segments) + value[last:]
    assert np.array_equal(shown(value), shown(late))


def named(value: bytes, names: bytes) -> bytes:
    """Give the three components of a JPEG other names, of which libjpeg makes guesses."""
    frame, scan, changed = value.index(b"\xff\xc0"), value.index(b"\xff\xda"), bytearray(value)
    for number, name in enumerate(names):
        changed[frame + 10 + 3 * number] = changed[scan + 5 + 2 * number] = name
    return bytes(changed)


def test_what_says_how_colours_are_stored_is_kept() -> None:
    rgb = as_bytes(SCENE, "JPEG", quality=95, keep_rgb=True)
    assert b"Adobe" in rgb
    by_adobe = named(rgb, b"\1\2\3")
    assert np.abs(shown(PNG).astype(int) - shown(by_adobe)).mean() < 3
    assert np.array_equal(shown(rgb), shown(jpeg_with(segment(0xEE, b"Adobe"), value=by_adobe)))
    assert b"JFIF" in JPEG
    assert np.array_equal(shown(JPEG), shown(named(JPEG, b"RGB")))
    cmyk = as_bytes(SCENE.convert("CMYK"), "JPEG", quality=95)
    assert np.abs(shown(PNG).astype(int) - shown(cmyk)).mean() < 5


def test_exif_of_a_jpeg_that_goes_on_in_a_second_segment_turns_it() -> None:
    first, second = TURNED[:16], TURNED[16:]
    turned = jpeg_with(segment(0xE1, b"Exif\0\0" + first), segment(0xE1, b"Exif\0\0" + second))
    assert np.abs(np.rot90(shown(JPEG), 2).astype(int) - shown(turned)).max() <= 1


def bmp(head: bytes, **changes: int) -> bytes:
    """Write a BMP with a header of 40 or more bytes; the changes are of its numbers."""
    width, height = SCENE.size
    pixels = np.asarray(SCENE)[::-1, :, ::-1].tobytes()
    numbers = {"resolution": 2835, "used": 0, "important": 0, "image_bytes": len(pixels), **changes}
    size = 40 + len(head)
    info = struct.pack(
        "<IiiHHIIiiII",
        *(size, width, height, 1, 24, 0, numbers["image_bytes"]),
        *(numbers["resolution"], -numbers["resolution"], numbers["used"], numbers["important"]),
    )
    total = 14 + size + len(pixels)
    return struct.pack("<2sIHHI", b"BM", total, 7, 9, 14 + size) + info + head + pixels


PROFILE = b"BGRs" + bytes(36 + 12)
BMPS = {
    "no resolution": bmp(b"", resolution=0),
    "a resolution beyond all": bmp(b"", resolution=2**31 - 1),
    "colours that are none": bmp(b"", used=77, important=4_000_000_000),
    "a wrong size of the image": bmp(b"", image_bytes=3),
    "version 4": bmp(bytes(16) + PROFILE),
    "version 5, its profile embedded where nothing is": bmp(
        bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, 2**31, 2**31, 0)
    ),
    "what follows it": bmp(b"") + b"camera 7" * 1000,
}


@pytest.mark.parametrize("value", BMPS.values(), ids=BMPS)
def test_nothing_beside_the_pixels_condemns_a_bmp(value: bytes) -> None:
    assert np.array_equal(shown(as_bytes(SCENE, "BMP")), shown(value))
