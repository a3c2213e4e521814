"""
Measure how pipelines share one Spark server: one has a backlog, the others a trickle.

    python -m benchmarks.sharing                        writes table and drawings in the documents
    python -m benchmarks.sharing --pipelines 1 5 --seconds 20 --out FILE

Prints one line a number of pipelines: what Spark takes of memory (proportional set size: what
processes share is counted once), how long the first pipeline's first pictures took and the others'
(median), what the backlog's pipeline judged and delivered a second, and how long a picture of a
trickle took from Kafka to its receipt, while the backlog lasted. The steps run without Airflow,
each pipeline in a thread of one process.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import structlog
import yaml
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.pipeline.documents import write_between
from benchmarks.pipeline.drawing import Drawing, Line
from benchmarks.pipeline.processor import families, of_server
from benchmarks.pipeline.results import described
from benchmarks.pipeline.servers import ROOT, bootstrap, embedded
from frameferry.config.connections import resolve_from_environment
from frameferry.config.settings import load_pipeline
from frameferry.demo.surfaces import LABELS, encode, picture
from frameferry.errors import FrameferryError
from frameferry.pipeline.context import Context, open_context
from frameferry.pipeline.run import run_until_caught_up

BACKLOG: Final = 60_000
TRICKLE_SECONDS: Final = 2.0
WARM_PICTURES: Final = 64
KEPT: Final = ROOT / "docs" / "measurements" / "sharing.json"
IMAGES: Final = ROOT / "docs" / "images"
MARKER: Final = "sharing"
HEADS: Final = (
    "pipelines",
    "memory, MB",
    "first pictures of the first, of a further one",
    "the backlog's images/s",
    "a trickle's picture to its receipt, median",
    "95 %",
)
TITLES: Final = {
    "sharing-memory.svg": "Memory of one Spark server against the pipelines on it",
    "sharing-trickle.svg": "A trickle's picture to its receipt, beside a backlog",
}


@dataclass(frozen=True)
class Measured:
    pipelines: int
    spark_mb: int
    workers: int
    first_seconds: float
    further_seconds: float | None
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
    parser.add_argument("--out", type=Path, help="a file for the figures; default: the documents")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    found = []
    for number in options.pipelines:
        with embedded(options.folder, ["kafka", "spark", "ftp"]) as home:
            found.append(measured(home, number, options.seconds))
            print(json.dumps(asdict(found[-1])), flush=True)
    content = {"run": described({"seconds": options.seconds}), "found": [*map(asdict, found)]}
    place = options.out or KEPT
    place.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    if place == KEPT:
        write_between(MARKER, shown(content))
        for name, drawing in drawn(content).items():
            (IMAGES / name).write_text(drawing.svg(), encoding="utf-8")


def shown(content: Mapping[str, Any]) -> str:
    """Write the document's table and drawings."""
    rows = [f"| {' | '.join(HEADS)} |", "|---" * len(HEADS) + "|"]
    rows += [row(each) for each in content["found"]]
    return "\n".join([*rows, "", *(f"![{title}](images/{name})" for name, title in TITLES.items())])


def row(found: Mapping[str, Any]) -> str:
    waits = (found["trickle_p50_seconds"], found["trickle_p95_seconds"])
    further = found["further_seconds"]
    firsts = f"{found['first_seconds']:.1f} s" + (f", {further:.1f} s" if further else "")
    cells = [
        str(found["pipelines"]),
        f"{found['spark_mb']:,}",
        firsts,
        f"{found['backlog_pictures_per_second']:.0f}",
        *(f"{wait:.1f} s" if wait else "" for wait in waits),
    ]
    return f"| {' | '.join(cells)} |"


def drawn(content: Mapping[str, Any]) -> dict[str, Drawing]:
    """Make the drawings from kept figures."""
    keys = {
        "sharing-memory.svg": {"spark_mb": "Spark's JVM, daemon and workers"},
        "sharing-trickle.svg": {"trickle_p95_seconds": "95 %", "trickle_p50_seconds": "median"},
    }
    units = {"sharing-memory.svg": "MB", "sharing-trickle.svg": "seconds"}
    return {
        name: Drawing(
            title,
            *("pipelines", units[name]),
            lines=[Line(said, line(content, key)) for key, said in keys[name].items()],
            x_marks=[found["pipelines"] for found in content["found"]],
        )
        for name, title in TITLES.items()
    }


def line(content: Mapping[str, Any], key: str) -> list[tuple[float, float]]:
    return [(each["pipelines"], each[key]) for each in content["found"] if each[key] is not None]


def measured(home: Path, pipelines: int, lasting: float) -> Measured:
    topics = [f"line-{number:02d}" for number in range(pipelines)]
    producer = filled(topics, WARM_PICTURES)
    with ExitStack() as stack:
        contexts = [stack.enter_context(context(home, topic)) for topic in topics]
        first, *further = [seconds(functools.partial(run_until_caught_up, ctx)) for ctx in contexts]
        warm = contexts[0].ledger.counts(topics[0]).delivered
        send(producer, topics[0], BACKLOG)
        began = time.time()
        with carrying(contexts):
            trickle(producer, topics[1:], until=began + lasting)
            spark = list(families(of_server("spark", str(home))()))
            delivered = contexts[0].ledger.counts(topics[0]).delivered - warm
            elapsed = time.time() - began
            waits = sorted(wait for ctx in contexts[1:] for wait in waited(ctx, began))
    return Measured(
        pipelines,
        sum(process.memory_full_info().pss for process in spark) >> 20,
        len(spark) - 1,
        round(first, 1),
        round(statistics.median(further), 1) if further else None,
        round(delivered / elapsed, 1),
        round(statistics.median(waits), 2) if waits else None,
        round(waits[int(len(waits) * 0.95)], 2) if waits else None,
    )


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


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
