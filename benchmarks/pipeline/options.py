"""What to measure, as the command line says it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.pipeline.loads import CNN, MODELS, NEAR, PARTS, SCHEDULER, SIZES
from benchmarks.pipeline.loop import FULL, REDUCED
from benchmarks.pipeline.servers import ROOT

KEPT: Final = ROOT / "docs" / "measurements" / "benchmark.json"


@dataclass(frozen=True)
class Options:
    """Times are of two cores: see `loads.py` for how many pictures a round has."""

    parts: list[str]
    models: list[str]
    sizes: list[str]
    rounds: int
    far_rounds: int
    share: float
    batches: int
    scheduled_pictures: int
    scheduled_batches: int
    scheduled_rounds: int
    warm_up: int
    """Pictures of the first backlog; 0: nothing is warmed up, and Airflow is up from the start."""
    loop_decoding: str
    ftp: str
    folder: Path
    ftp_folder: Path
    note: str
    out: Path | None
    document: bool

    @property
    def models_needed(self) -> list[str]:
        """List the models that any part judges with: the others use the small one."""
        return sorted({CNN, *self.models})


SMOKE: Final = {
    "parts": [NEAR, SCHEDULER],
    "models": ["cnn"],
    "sizes": ["640x480"],
    "rounds": 1,
    "far_rounds": 1,
    "share": 0.01,
    "batches": 2,
    "scheduled_pictures": 24,
    "scheduled_batches": 2,
    "scheduled_rounds": 1,
    "warm_up": 0,
    "ftp": "embedded",
}


def parse(argv: Sequence[str], what: str) -> Options:
    parser = argparse.ArgumentParser(
        "benchmarks.pipeline", description=what, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("--smoke", action="store_true", help="everything once, small, no FTP server needed")
    add("--parts", nargs="+", default=list(PARTS), choices=PARTS)
    add("--models", nargs="+", default=list(MODELS), choices=list(MODELS))
    add("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    add("--rounds", type=int, default=2)
    add("--far-rounds", type=int, default=1)
    add("--share", type=float, default=1.0, help="times as many pictures a round")
    add("--batches", type=int, default=2, help="of Frameferry, in a round")
    add("--scheduled-pictures", type=int, default=60_000)
    add("--scheduled-batches", type=int, default=20)
    add("--scheduled-rounds", type=int, default=1)
    add(
        "--warm-up",
        type=int,
        default=64,
        help="pictures of the first backlog, which is not measured; 0: none",
    )
    add("--loop-decoding", default=REDUCED, choices=[REDUCED, FULL])
    add("--ftp", default="vsftpd", choices=["vsftpd", "proftpd", "pureftpd", "embedded"])
    add("--folder", type=Path, default=Path("/tmp"), help="for Kafka's log: 12 GB")
    add("--ftp-folder", type=Path, default=Path("/dev/shm"), help="for the delivered files: 6 GB")
    add("--note", default="", help="what a reader of the table must know of this run")
    add("--out", type=Path, help="where to write the results (default: the kept ones)")
    options = vars(parser.parse_args(argv))
    is_smoke = options.pop("smoke")
    if is_smoke:
        options |= SMOKE
    is_kept = options["out"] is None and not is_smoke
    return Options(**{**options, "out": KEPT if is_kept else options["out"]}, document=is_kept)
