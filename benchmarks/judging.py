"""
Measure what judging costs: CPU-milliseconds a picture, which a noisy machine leaves comparable.

    python benchmarks/judging.py [MODEL]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from frameferry.config.settings import ModelSettings
from frameferry.demo.surfaces import LABELS, Format, encode, picture
from frameferry.inference.decode import decode
from frameferry.inference.judge import load_judge

SIZES: Final[tuple[tuple[int, int], ...]] = ((640, 480), (1600, 1200))
FORMATS: Final[tuple[Format, ...]] = ("JPEG", "PNG")
PICTURES: Final = 32
ROUNDS: Final = 4


def cpu_milliseconds(work: Callable[[], object], pictures: int) -> float:
    work()
    began = time.process_time()
    for _ in range(ROUNDS):
        work()
    return (time.process_time() - began) * 1000 / (ROUNDS * pictures)


def made(size: tuple[int, int], file_format: Format) -> Sequence[bytes]:
    return [
        encode(picture(number, LABELS[number % len(LABELS)], size), file_format)
        for number in range(PICTURES)
    ]


def main() -> None:
    path = sys.argv[1] if len(sys.argv) > 1 else "include/models/surface/1"
    judge = load_judge(ModelSettings(path=path))
    for size in SIZES:
        for file_format in FORMATS:
            values = made(size, file_format)
            decoding = cpu_milliseconds(
                lambda v=values: [decode(b, judge.spec) for b in v], PICTURES
            )
            judging = cpu_milliseconds(lambda v=values: judge.judge(v), PICTURES)
            kind = (
                f"{size[0]} x {size[1]} {file_format}, {sum(map(len, values)) // PICTURES:,} bytes"
            )
            print(f"{kind:<40} decode {decoding:6.2f}, decode and judge {judging:6.2f} CPU-ms")


if __name__ == "__main__":
    main()
