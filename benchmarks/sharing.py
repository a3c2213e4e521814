"""
Measure how pipelines share one Spark server: one has a backlog, the others a trickle.

    python -m benchmarks.sharing [--pipelines 1 5 20] [--seconds 40]

Prints one line a number of pipelines: what Spark takes of memory (proportional set size: what
processes share is counted once), what the backlog's pipeline judged and delivered a second, and how
long a picture of a trickle took from Kafka to its receipt, while the backlog lasted. The steps run
without Airflow, each pipeline in a thread of one process.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil
import structlog
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.pipeline.processor import families, of_server
from benchmarks.pipeline.servers import ROOT, bootstrap, embedded
from frameferry.config.connections import resolve_from_environment
from frameferry.config.settings import load_pipeline
from frameferry.errors import FrameferryError
from frameferry.inference.surfaces import LABELS, encode, picture
from frameferry.pipeline.context import Context, open_context
from frameferry.pipeline.run import run_until_caught_up

BACKLOG: Final = 60_000
TRICKLE_SECONDS: Final = 2.0
WARM_PICTURES: Final = 64


@dataclass(frozen=True)
class Measured:
    pipelines: int
    spark_mb: int
    workers: int
    backlog_pictures_per_second: float
    trickle_p50_seconds: float | None
    trickle_p95_seconds: float | None


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    found = []
    for number in options.pipelines:
        with embedded(options.folder, ["kafka", "spark", "ftp"]) as home:
            found.append(measured(home, number, options.seconds))
            print(json.dumps(asdict(found[-1])), flush=True)
    if options.out:
        options.out.write_text(json.dumps([asdict(one) for one in found], indent=1) + "\n")


def measured(home: Path, pipelines: int, seconds: float) -> Measured:
    topics = [f"line-{number:02d}" for number in range(pipelines)]
    producer = filled(topics, WARM_PICTURES)
    with ExitStack() as stack:
        contexts = [stack.enter_context(context(home, topic)) for topic in topics]
        for ctx in contexts:
            run_until_caught_up(ctx)
        warm = contexts[0].ledger.counts(topics[0]).delivered
        send(producer, topics[0], BACKLOG)
        began = time.time()
        with carrying(contexts):
            trickle(producer, topics[1:], until=began + seconds)
            spark = list(families(of_server("spark", str(home))()))
            delivered = contexts[0].ledger.counts(topics[0]).delivered - warm
            elapsed = time.time() - began
            waits = sorted(wait for ctx in contexts[1:] for wait in waited(ctx, began))
    return Measured(
        pipelines,
        sum(process.memory_full_info().pss for process in spark) >> 20,
        len(spark) - 1,
        round(delivered / elapsed, 1),
        round(statistics.median(waits), 2) if waits else None,
        round(waits[int(len(waits) * 0.95)], 2) if waits else None,
    )


@functools.cache
def values() -> list[bytes]:
    return [encode(picture(n, LABELS[n % len(LABELS)], (640, 480)), "JPEG") for n in range(16)]


def filled(topics: Sequence[str], pictures: int) -> Producer:
    """Make topics with so many pictures each."""
    admin = AdminClient({"bootstrap.servers": bootstrap(), "log_level": 0})
    for made in admin.create_topics([NewTopic(topic, 2, 1) for topic in topics]).values():
        made.result(60)
    producer = Producer({"bootstrap.servers": bootstrap(), "log_level": 0})
    for topic in topics:
        send(producer, topic, pictures)
    return producer


def send(producer: Producer, topic: str, count: int) -> None:
    for number in range(count):
        while True:
            try:
                producer.produce(topic, values()[number % len(values())], partition=number % 2)
                break
            except BufferError:
                producer.poll(0.1)
    producer.flush(120)


@contextmanager
def context(home: Path, topic: str) -> Iterator[Context]:
    settings = load_pipeline(write_pipeline(home, topic))
    with open_context(settings, resolve_from_environment) as ctx:
        yield ctx


def write_pipeline(folder: Path, topic: str) -> Path:
    """Write the file of a pipeline of the topic's name: the demo's model, two connections."""
    content = {
        "pipeline": topic,
        "kafka": {"connection": "plant_kafka", "topic": topic},
        "model": {"path": str(ROOT / "include" / "models" / "surface" / "1")},
        "deliver": {"connection": "archive_ftp", "base": f"/{topic}", "connections": 2},
    }
    path = folder / f"{topic}.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@contextmanager
def carrying(contexts: Sequence[Context]) -> Iterator[None]:
    """Run every pipeline in a thread until the block ends; what is in hand is left."""
    over = threading.Event()
    for ctx in contexts:
        threading.Thread(target=carry_on, args=(ctx, over), daemon=True).start()
    try:
        yield
    finally:
        over.set()


def carry_on(ctx: Context, over: threading.Event) -> None:
    while not over.wait(0.2):
        try:
            run_until_caught_up(ctx, stalled_seconds=1)
        except FrameferryError as error:
            print(f"{ctx.pipeline}: {error}", file=sys.stderr)


def trickle(producer: Producer, topics: Sequence[str], *, until: float) -> None:
    while time.time() < until:
        for topic in topics:
            producer.produce(topic, values()[0], partition=0)
        producer.flush(30)
        time.sleep(TRICKLE_SECONDS)


def waited(ctx: Context, since: float) -> Iterator[float]:
    for row in ctx.ledger.records(ctx.pipeline, limit=10_000):
        if row.timestamp and row.delivered_at and row.timestamp.timestamp() >= since:
            yield row.delivered_at.timestamp() - row.timestamp.timestamp()


if __name__ == "__main__":
    main()
    # Threads in the middle of a batch: nothing of it is wanted any more.
    psutil.Process().kill()
