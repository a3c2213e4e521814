"""
Measure how long a picture takes from Kafka to its whole file under the scheduler.

    python -m benchmarks.freshness [--pipelines 2] [--rate 5] [--seconds 90]

Each pipeline gets so many pictures a second. Prints the seconds from a record to its receipt, the
median and 95th percentile, of those sent in the first third (cold: nothing was loaded) and of
the rest (warm); and what a warm batch costs beyond judging and delivering it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from confluent_kafka import Producer
from sqlalchemy import create_engine, text

from benchmarks.pipeline.servers import SCHEDULED_PIPELINES, embedded
from benchmarks.sharing import filled, values, write_pipeline
from frameferry.config.home import ledger_url
from frameferry.stack import stack

PATIENCE_SECONDS: Final = 180
_RECEIPTS = text("SELECT timestamp_ms, delivered_at FROM record WHERE delivered_at IS NOT NULL")
_BATCHES = text(
    "SELECT planned_at, committed_at, infer_seconds + deliver_seconds FROM batch "
    "WHERE committed_at IS NOT NULL ORDER BY id"
)


@dataclass(frozen=True)
class Freshness:
    pictures: int
    cold_p50_seconds: float
    cold_p95_seconds: float
    warm_p50_seconds: float
    warm_p95_seconds: float
    batches: int
    beyond_work_seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", type=int, default=2)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    with embedded(options.folder, ["kafka", "spark", "ftp"]) as home:
        topics = [f"line-{number:02d}" for number in range(options.pipelines)]
        for topic in topics:
            write_pipeline(home / SCHEDULED_PIPELINES, topic)
        producer = filled(topics, 0)
        stack.up(["airflow"])
        began = time.time()
        sent = send_on(producer, topics, options.rate, began + options.seconds)
        found = figures(sent, began + options.seconds / 3)
    print(json.dumps(asdict(found), indent=1))
    if options.out:
        options.out.write_text(json.dumps(asdict(found), indent=1) + "\n")


def send_on(producer: Producer, topics: Sequence[str], rate: float, until: float) -> int:
    """Send pictures evenly; return how many there were."""
    pictures, sent, due = values(), 0, time.time()
    while due < until:
        time.sleep(max(0.0, due - time.time()))
        for topic in topics:
            producer.produce(topic, pictures[sent % len(pictures)], partition=sent % 2)
            sent += 1
        producer.flush(30)
        due += 1 / rate
    return sent


def figures(sent: int, warm_from: float) -> Freshness:
    """Wait for all receipts, and compare them with the records' times."""
    with closing(create_engine(ledger_url()).connect()) as ledger:
        met, deadline = -1, 0.0
        while len(rows := ledger.execute(_RECEIPTS).all()) < sent:
            ledger.rollback()
            if len(rows) != met:
                met, deadline = len(rows), time.monotonic() + PATIENCE_SECONDS
            assert time.monotonic() < deadline, f"no more than {len(rows)} of {sent} for long"
            time.sleep(0.5)
        time.sleep(5)
        ledger.rollback()
        batches = ledger.execute(_BATCHES).all()
    waits = [(ms / 1000, _seconds(at) - ms / 1000) for ms, at in rows]
    cold = sorted(wait for at, wait in waits if at < warm_from)
    warm = sorted(wait for at, wait in waits if at >= warm_from)
    beyond = [_seconds(end) - _seconds(start) - work for start, end, work in batches[2:]]
    return Freshness(
        sent,
        *(_share(cold, 0.5), _share(cold, 0.95)),
        *(_share(warm, 0.5), _share(warm, 0.95)),
        len(batches),
        round(statistics.median(beyond), 2),
    )


def _share(ordered: Sequence[float], share: float) -> float:
    return round(ordered[int(len(ordered) * share)], 2)


def _seconds(moment: str) -> float:
    """Read a time as SQLite keeps it, in UTC."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()


if __name__ == "__main__":
    main()
