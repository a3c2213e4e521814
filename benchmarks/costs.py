"""
Measure where each CPU-millisecond of a picture goes, one batch judged and then delivered, all warm.

    python -m benchmarks.costs [--sizes 640x480 1600x1200 4000x3000] [--megabytes 300]

Spark's JVM, its Python workers, the client that waits for them, and the client that delivers; and
beside them what decoding, predicting and digesting take in a process of their own.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
import structlog

from benchmarks.pipeline.contestants import FERRY, Stage, topic_of, write_pipeline
from benchmarks.pipeline.loads import CNN, SIZES, near_loads
from benchmarks.pipeline.models import make_models
from benchmarks.pipeline.pictures import pictures
from benchmarks.pipeline.processor import families, of_server
from benchmarks.pipeline.servers import bootstrap, embedded, ftp_server
from benchmarks.pipeline.topics import Backlog, Broker
from frameferry.config.connections import resolve_from_environment
from frameferry.config.settings import load_pipeline
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import sha256_hex
from frameferry.inference.decode import decode
from frameferry.inference.judge import load_judge
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context, open_context
from frameferry.pipeline.world import world

GROUP: Final = 32
ROUNDS: Final = 5
WARM_PICTURES: Final = 64


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--megabytes", type=int, default=300, help="in the batch, about")
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    parser.add_argument("--ftp-folder", type=Path, default=Path("/dev/shm"))
    parser.add_argument("--out", type=Path, help="where to write the figures as JSON")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    found = {}
    with (
        embedded(options.folder, ["kafka", "spark"]) as home,
        ftp_server("vsftpd", options.ftp_folder) as site,
    ):
        assert make_models(home / "models", [CNN]).wait() == 0
        broker = Broker(bootstrap())
        for name in options.sizes:
            (load,) = near_loads([CNN], [name], 1.0, 1)
            stage = Stage(home, bootstrap(), home / "models", site, load)
            found[name] = costs(stage, broker, options.megabytes * 10**6)
            print(name, json.dumps(found[name]), flush=True)
    if options.out:
        options.out.write_text(json.dumps(found, indent=1) + "\n")


def costs(stage: Stage, broker: Broker, most_bytes: int) -> dict[str, float]:
    values = pictures(stage.load.size)
    count = max(most_bytes // len(values[0]), WARM_PICTURES)
    topic = topic_of(stage.load)
    broker.create(topic)
    folder = stage.home / f"costs-{stage.load.name}"
    write_pipeline(folder, stage, topic.removesuffix(".images"), FERRY)
    (path,) = folder.glob("*.yaml")
    with open_context(load_pipeline(path), resolve_from_environment) as ctx:
        carried(ctx, broker.fill(topic, values, WARM_PICTURES), stage)
        whole = carried(ctx, broker.fill(topic, values, count), stage)
    return {"pictures": count, **whole, **alone(stage, values)}


def carried(ctx: Context, backlog: Backlog, stage: Stage) -> dict[str, float]:
    """Carry a backlog as one batch; CPU-milliseconds a picture of each who works on it."""
    world.observe(ctx)
    steps.publish(ctx)
    ranges = [OffsetRange(one, backlog.starts[one], backlog.ends[one]) for one in backlog.starts]
    batch = ctx.ledger.add_batch(
        ctx.pipeline, ranges=ranges, sentence="by hand", config_digest="c" * 64
    )
    spent: dict[str, float] = {}
    with spending(spent, "client, judging", stage):
        steps.infer(ctx, batch)
    with spending(spent, "client, delivering", stage):
        steps.deliver(ctx, batch)
    steps.commit(ctx, batch)
    return {name: round(seconds * 1000 / backlog.pictures, 3) for name, seconds in spent.items()}


@contextmanager
def spending(spent: dict[str, float], who: str, stage: Stage) -> Iterator[None]:
    """Add up what Spark's processes and this one use meanwhile."""
    before, own = spark_seconds(stage), time.process_time()
    yield
    after = spark_seconds(stage)
    spent[who] = time.process_time() - own
    for kind in ("JVM", "workers"):
        spent[kind] = spent.get(kind, 0.0) + after[kind] - before[kind]


def spark_seconds(stage: Stage) -> dict[str, float]:
    used = {"JVM": 0.0, "workers": 0.0}
    for process in families(of_server("spark", str(stage.home))()):
        try:
            kind = "JVM" if process.name() == "java" else "workers"
            used[kind] += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return used


def alone(stage: Stage, values: list[bytes]) -> dict[str, float]:
    """Repeat the worker's work in this process: the best of some rounds."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    judge = load_judge(load_settings(stage))
    group = (values * GROUP)[:GROUP]
    judging = best(lambda: judge.judge(group))
    decoding = best(lambda: [decode(value, judge.spec) for value in group])
    return {
        "alone: decode": decoding,
        "alone: predict": round(judging - decoding, 3),
        "alone: sha256": best(lambda: [sha256_hex(value) for value in group]),
    }


def load_settings(stage: Stage) -> Any:  # noqa: ANN401
    settings = load_pipeline(next((stage.home / f"costs-{stage.load.name}").glob("*.yaml"))).model
    assert settings != "none"
    return settings


def best(work: Callable[[], object]) -> float:
    work()
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        rounds.append(time.process_time() - began)
    return round(min(rounds) * 1000 / GROUP, 3)


if __name__ == "__main__":
    main()
