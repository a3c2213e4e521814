"""
Measure the ledger: one batch of 10,000 records, and a plan over 512 partitions.

    python benchmarks/ledger.py            both databases, each in a temporary folder
    python benchmarks/ledger.py 20000      another number of records

Wall seconds, and the seconds of processor time that they took (ours, and PostgreSQL's).
"""

from __future__ import annotations

import hashlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.postgres import postgres_server

from frameferry.domain.batch import Batch
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Census, NamedPrediction, Prediction, Receipt
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

PARTITIONS = 512
GROUP = 200
ROUNDS = 3


class Stopwatch:
    """Print what each lap took."""

    def __init__(self) -> None:
        self.wall = self.processor = 0.0

    @contextmanager
    def lap(self, what: str) -> Iterator[None]:
        wall, processor = time.perf_counter(), _processor_seconds()
        yield
        wall, processor = time.perf_counter() - wall, _processor_seconds() - processor
        self.wall += wall
        self.processor += processor
        print(f"  {what:<34}{wall:7.3f} s   processor {processor:6.3f} s")


def _processor_seconds() -> float:
    """Our own seconds and those of all living children, PostgreSQL's processes."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = psutil.Process().children(recursive=True)
    return own.ru_utime + own.ru_stime + sum(sum(child.cpu_times()[:2]) for child in children)


def _rows(wanted: OffsetRange) -> list[NamedPrediction]:
    outputs = '{"good": 0.91, "scratch": 0.05, "hole": 0.03, "stain": 0.01}'
    return [
        NamedPrediction(
            Prediction(
                partition=wanted.partition,
                offset=at,
                timestamp_ms=1_763_000_000_000 + at,
                source_name=f"press_a_{at:09d}.jpg",
                size_bytes=140_000,
                sha256=hashlib.sha256(str(at).encode()).hexdigest(),
                label="good",
                score=0.91,
                outputs=outputs,
            ),
            f"/press-a/2026-11-23/press_a_{at:09d}_{wanted.partition}-{at:020d}.jpg",
        )
        for at in range(wanted.start, wanted.end)
    ]


def _deliver(ledger: Ledger, batch: Batch, group: int) -> None:
    due = ledger.consignments(batch.token)
    for start in range(0, len(due), group):
        some = due[start : start + group]
        parts = [(item.record_id, f"{item.remote_path}.{batch.part_tag}.part") for item in some]
        ledger.record_intents(batch.token, parts)
        ledger.record_receipts(batch.token, [Receipt(item.record_id, "size") for item in some])


def measure_batch(ledger: Ledger, wanted: OffsetRange, group: int) -> None:
    """Carry one batch of one partition from its plan to its commit."""
    watch = Stopwatch()
    rows = _rows(wanted)
    with watch.lap("plan and claim"):
        batch_id = ledger.add_batch("bench", ranges=[wanted], sentence="", config_digest="")
        batch = ledger.claim(batch_id, owner="bench", lease_seconds=60)
    with watch.lap(f"{len(rows):,} predictions"):
        ledger.record_predictions(
            batch.token, rows, destination="ftp://h", judge_digest="j" * 64, seconds=1
        )
    with watch.lap(f"intents and receipts by {group:,}"):
        _deliver(ledger, batch, group)
    text = "".join(f"{at}\n" for at in range(wanted.start, wanted.end))
    digest = hashlib.sha256(text.encode()).hexdigest()
    census = Census(wanted.partition, wanted.start, wanted.end, wanted.end, len(rows), digest)
    with watch.lap("census and commit"):
        ledger.record_census(batch.token, [census], seconds=1)
        ledger.commit(batch_id)
    print(f"  {'in all':<34}{watch.wall:7.3f} s   processor {watch.processor:6.3f} s")


def measure(url: str, records: int) -> None:
    """Measure one database."""
    with closing(open_ledger(url)) as ledger:
        starts = dict.fromkeys(range(PARTITIONS), 0)
        ledger.register_pipeline("bench", cluster_id="c", topic="t", topic_id="i", starts=starts)
        for number, group in enumerate([records] * ROUNDS + [GROUP]):
            measure_batch(ledger, OffsetRange(number, 0, records), group)
        ranges = [OffsetRange(part, 0, 20) for part in range(PARTITIONS // 2, PARTITIONS)]
        watch = Stopwatch()
        with watch.lap(f"plan a batch over {len(ranges)} partitions"):
            ledger.add_batch("bench", ranges=ranges, sentence="", config_digest="")
        with watch.lap("state of the pipeline"):
            ledger.pipeline_state("bench")
        with watch.lap("counts"):
            ledger.counts("bench")


def main() -> None:
    """Measure both databases."""
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as folder:
        print("SQLite")
        measure(f"sqlite:///{folder}/ledger.db", records)
    with postgres_server() as server:
        print("PostgreSQL")
        measure(server.empty_database(), records)


if __name__ == "__main__":
    main()
