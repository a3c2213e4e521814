"""The demo's pictures: the same ones for the same round, good ones and bad ones."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from frameferry.demo.surfaces import LABELS, Format, encode, picture

PARTITIONS = 2
GOOD_PER_EQUIPMENT = 156
_SIZES = {
    "press-a": ((320, 240), (480, 360), (640, 480)),
    "paint-b": ((160, 160), (256, 192), (320, 320)),
}
_FORMATS: dict[str, tuple[Format, ...]] = {
    "press-a": ("JPEG", "JPEG", "PNG"),
    "paint-b": ("PNG", "JPEG"),
}
_BOMB_SIDE_PIXELS = 40_000


@dataclass(frozen=True, slots=True)
class DemoPicture:
    """One record to produce. `deliverable` is False for those that must be quarantined."""

    pipeline: str
    partition: int
    filename: str | None
    value: bytes
    deliverable: bool


def demo_pictures(round_number: int) -> Iterator[DemoPicture]:
    """Make all pictures of a round, both equipments; rounds count from 1 and share no picture."""
    for pipeline in _SIZES:
        rng = random.Random(f"{pipeline}-{round_number}")  # noqa: S311 - pictures, not secrets
        made = [*_good(pipeline, round_number, rng), *_bad(pipeline, round_number)]
        rng.shuffle(made)
        yield from made


def _good(pipeline: str, round_number: int, rng: random.Random) -> Iterator[DemoPicture]:
    for number in range(GOOD_PER_EQUIPMENT):
        label = LABELS[number % len(LABELS)]
        kind = rng.choice(_FORMATS[pipeline])
        seed = zlib.crc32(f"{pipeline}-{round_number}-{number}".encode())
        value = encode(picture(seed, label, rng.choice(_SIZES[pipeline])), kind)
        name = f"{round_number}-{number:04d}.{'jpg' if kind == 'JPEG' else 'png'}"
        yield DemoPicture(
            pipeline, number % PARTITIONS, _named(pipeline, name), value, deliverable=True
        )


def _bad(pipeline: str, round_number: int) -> Iterator[DemoPicture]:
    """Make four pictures that no model can judge, and for one equipment two with hostile names."""
    seed = zlib.crc32(f"bad-{pipeline}-{round_number}".encode())
    whole = encode(picture(seed, "good", (320, 240)), "JPEG")
    wrong = {
        "truncated.jpg": whole[: len(whole) // 2],
        "empty.jpg": b"",
        "notes.txt": f"shift {round_number}: nothing to report\n".encode(),
        "bomb.png": decompression_bomb(seed),
    }
    for number, (name, value) in enumerate(wrong.items()):
        yield DemoPicture(
            pipeline, number % PARTITIONS, _named(pipeline, name), value, deliverable=False
        )
    if pipeline == "press-a":
        for number, name in enumerate(
            (f"../../outside-{round_number}.jpg", f"two\nlines-{round_number}.jpg")
        ):
            value = encode(picture(seed + 1 + number, "good", (320, 240)), "JPEG")
            yield DemoPicture(pipeline, number, name, value, deliverable=True)


def _named(pipeline: str, name: str) -> str | None:
    return name if pipeline == "press-a" else None


def decompression_bomb(seed: int) -> bytes:
    """Make a small PNG whose header claims 1.6 gigapixels."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", _BOMB_SIDE_PIXELS, _BOMB_SIDE_PIXELS, 8, 0, 0, 0, 0)
    file = io.BytesIO()
    file.write(b"\x89PNG\r\n\x1a\n")
    file.write(chunk(b"IHDR", header))
    file.write(chunk(b"tEXt", f"seed\0{seed}".encode()))
    file.write(chunk(b"IDAT", zlib.compress(bytes(100_000))))
    file.write(chunk(b"IEND", b""))
    return file.getvalue()
