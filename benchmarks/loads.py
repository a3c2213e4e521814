"""
Four backlogs, one after the other, on one embedded Spark server at default settings; as root.

    make measure-loads                     20,000 x 74 kB, 4,000 x 460 kB, 600 x 7 MB, and a mix
    make measure-loads ONLY="--scale 0.1 --loads small heavy"

Of each: batches, what failed, the JVM's live heap after each batch (everything collected first,
asked over its attach socket), the largest Python worker after each batch, and the peak resident
memory of the JVM, of one Python worker and of the process that delivers. Heavy pictures are small
ones padded by comment segments: what is measured is carrying, not decoding. Needs 8 GB for Kafka's
log and 5 GB for the delivered files.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from benchmarks.pipeline import ledgers
from benchmarks.pipeline.command import Command
from benchmarks.pipeline.documents import write_between
from benchmarks.pipeline.heap import live_heap_bytes
from benchmarks.pipeline.loads import SIZES
from benchmarks.pipeline.memory import CLIENT, JVM, WORKER, Peaks, kind_of
from benchmarks.pipeline.pictures import heavy_pictures, pictures
from benchmarks.pipeline.processor import families, of_server
from benchmarks.pipeline.results import described
from benchmarks.pipeline.servers import ROOT, FtpSite, bootstrap, embedded, ftp_server
from benchmarks.pipeline.topics import Broker

KEPT: Final = ROOT / "docs" / "measurements" / "loads.json"
MEGABYTE: Final = 10**6
SEED: Final = 1
FEW: Final = 500
"""Pictures after which a worker has met all it will meet."""


def small() -> list[bytes]:
    return pictures(SIZES["640x480"])


def middle() -> list[bytes]:
    return pictures(SIZES["1600x1200"])


def heavy() -> list[bytes]:
    return heavy_pictures(7 * MEGABYTE)


def giant() -> list[bytes]:
    return heavy_pictures(40 * MEGABYTE, distinct=2)


Part = tuple[Callable[[], list[bytes]], int]
LOADS: Final[dict[str, tuple[Part, ...]]] = {
    "small": ((small, 20_000),),
    "middle": ((middle, 4_000),),
    "heavy": ((heavy, 600),),
    "mix": ((small, 2_000), (middle, 400), (heavy, 60), (giant, 8)),
}


@dataclass
class Outcome:
    """What became of one backlog; memory in megabytes."""

    load: str
    pictures: int
    megabytes: float
    seconds: float = 0.0
    batches: int = 0
    gave_up: str = ""
    failures: list[str] = field(default_factory=list)
    split: int = 0
    failed: int = 0
    quarantined: int = 0
    heap_after_each_batch: list[float] = field(default_factory=list)
    worker_after_pictures: list[tuple[int, float]] = field(default_factory=list)
    peaks: dict[str, float] = field(default_factory=dict)


def main() -> None:
    options = parse()
    outcomes = []
    with (
        embedded(options.folder, ["kafka", "spark"]) as home,
        ftp_server("vsftpd", options.ftp_folder) as site,
    ):
        broker = Broker(bootstrap())
        for name in options.loads:
            outcomes.append(measure(home, site, broker, name, options.scale))
            print(line(outcomes[-1]), flush=True)
    if options.out:
        write(options, outcomes)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--loads", nargs="+", default=list(LOADS), choices=list(LOADS))
    parser.add_argument("--scale", type=float, default=1.0, help="times as many pictures")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"), help="for Kafka's log")
    parser.add_argument("--ftp-folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--out", type=Path, help=f"default, at full scale: {KEPT.name}")
    options = parser.parse_args()
    if options.out is None and options.scale == 1 and options.loads == list(LOADS):
        options.out = KEPT
    return options


def measure(home: Path, site: FtpSite, broker: Broker, name: str, scale: float) -> Outcome:
    command = Command(home, f"load-{name}")
    command.write(site)
    broker.create(command.topic)
    sizes = fill(broker, command.topic, mixed(name, scale))
    print(f"{name}: {len(sizes):,} pictures, {sum(sizes) / 1e9:.1f} GB in Kafka", flush=True)
    outcome = Outcome(name, len(sizes), round(sum(sizes) / MEGABYTE))
    began = time.monotonic()
    with Peaks(command.family) as peaks:
        try:
            command.carry(len(sizes), lambda found: note(home, found, outcome))
        except RuntimeError as error:
            outcome.gave_up = str(error)
        outcome.peaks = {kind: round(value) for kind, value in peaks.restart().items()}
    outcome.seconds = round(time.monotonic() - began, 1)
    conclude(home, command, outcome)
    take(site, command.base, [] if outcome.gave_up else sizes)
    broker.delete(command.topic)
    return outcome


def mixed(name: str, scale: float) -> list[bytes]:
    """List the pictures of a load; those of several kinds in an order that is always the same."""
    chosen: list[bytes] = []
    for made, count in LOADS[name]:
        values, wanted = made(), max(1, round(count * scale))
        chosen += [values[number % len(values)] for number in range(wanted)]
    if len(LOADS[name]) > 1:
        random.Random(SEED).shuffle(chosen)
    return chosen


def fill(broker: Broker, topic: str, values: Sequence[bytes]) -> list[int]:
    return broker.fill(topic, values, len(values)).sizes


def note(home: Path, found: ledgers.Progress, outcome: Outcome) -> None:
    """Look at JVM and workers after a batch; what does not answer is asked after the next."""
    if heap := live_heap_megabytes(home):
        outcome.heap_after_each_batch.append(heap)
    if worker := worker_megabytes(home):
        outcome.worker_after_pictures.append((found.delivered, worker))


def live_heap_megabytes(home: Path) -> float:
    """Ask the embedded Spark server's JVM; 0 where it does not answer, as in a restart."""
    for process in of_server("spark", str(home))():
        if process.name() == "java":
            with suppress(OSError):
                return round(live_heap_bytes(process.pid) / MEGABYTE, 1)
    return 0.0


def worker_megabytes(home: Path) -> float:
    """Weigh the largest of the embedded server's Python workers; 0 where there is none."""
    weights = [0.0]
    for process in families(of_server("spark", str(home))()):
        with suppress(psutil.Error):
            if kind_of(process) == WORKER:
                weights.append(round(process.memory_info().rss / 2**20))
    return max(weights)


def conclude(home: Path, command: Command, outcome: Outcome) -> None:
    found = ledgers.troubles(home, command.pipeline)
    outcome.batches = ledgers.progress(home, command.pipeline).batches
    outcome.failures = command.failures
    outcome.split, outcome.failed = found.split, found.failed
    outcome.quarantined = found.quarantined


def take(site: FtpSite, base: str, sizes: list[int]) -> None:
    """See that every picture is there, whole, where any are expected; make room."""
    files = site.files(base)
    assert not sizes or Counter(path.stat().st_size for path in files) == Counter(sizes), (
        f"{base} is not whole"
    )
    for path in files:
        path.unlink()


def line(outcome: Outcome) -> str:
    heap = outcome.heap_after_each_batch or [0.0]
    peaks = ", ".join(f"{kind} {outcome.peaks.get(kind, 0):.0f}" for kind in (JVM, WORKER, CLIENT))
    gave_up = f"  GAVE UP: {outcome.gave_up}\n" if outcome.gave_up else ""
    return (
        f"{gave_up}  {outcome.batches} batches in {outcome.seconds:.0f} s; "
        f"{len(outcome.failures)} runs failed, {outcome.failed} batches failed, "
        f"{outcome.split} were split, {outcome.quarantined} pictures in quarantine; "
        f"live heap {min(heap):.0f} to {max(heap):.0f} MB, last {heap[-1]:.0f}; peaks: {peaks} MB"
    )


def table(content: dict[str, Any]) -> str:
    """Write the document's table; memory in MB."""
    rows = [
        "| load | GB | batches | failed | live heap | JVM | a worker | delivering | worker after |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*rows, *map(row, content["loads"])])


def row(load: dict[str, Any]) -> str:
    heap = load["heap_after_each_batch"] or [0]
    peaks = " | ".join(f"{load['peaks'].get(kind, 0):,}" for kind in (JVM, WORKER, CLIENT))
    failed = "gave up" if load["gave_up"] else len(load["failures"]) + load["failed"]
    return (
        f"| {load['load']}: {load['pictures']:,} pictures | {load['megabytes'] / 1000:.1f} "
        f"| {load['batches']} | {failed} | {min(heap):.0f} to {max(heap):.0f} | {peaks} "
        f"| {grown(load['worker_after_pictures'])} |"
    )


def grown(worker: Sequence[Sequence[float]]) -> str:
    """Say what a worker weighed after the first batch of at least FEW pictures, and at the end."""
    early = [one for one in worker if one[0] >= FEW]
    return "; ".join(f"{count:,.0f}: {weight:.0f}" for count, weight in (early[:1] + early[-1:]))


def write(options: argparse.Namespace, outcomes: Sequence[Outcome]) -> None:
    content: dict[str, Any] = {
        "run": described({"scale": options.scale, "loads": options.loads}),
        "loads": [vars(outcome) for outcome in outcomes],
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if options.out == KEPT:
        write_between("loads", table(content))
    print(f"written: {options.out}", flush=True)


if __name__ == "__main__":
    main()
