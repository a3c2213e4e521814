"""
Measure what planning costs: one pipeline of 512 partitions, skewed, on both databases.

    python benchmarks/planning.py

`plan` is the step itself, as Airflow calls it, with the ledger it really uses; only Kafka's answer
is given to it, since that is the broker's time and not planning's. Milliseconds: median and best
of the wall clock, and the median of this process's own processor time.
"""

from __future__ import annotations

import logging
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, Final

import structlog

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.ledgers import claim, deliver, record, rows
from fixtures.postgres import postgres_server

from frameferry.config.connections import RawConnection
from frameferry.config.settings import PipelineSettings
from frameferry.domain.offsets import Retention, Watermarks
from frameferry.domain.state import PipelineState
from frameferry.kafka.cluster import TopicView
from frameferry.ledger.opening import open_ledger
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.proposing import propose
from frameferry.pipeline.world import world
from frameferry.planning.gaps import find_gaps
from frameferry.planning.readiness import readiness

PARTITIONS: Final = 512
ROUNDS: Final = 15
PIPELINE: Final = "press-a"
SETTINGS: Final = PipelineSettings.model_validate(
    {
        "pipeline": PIPELINE,
        "kafka": {"connection": "plant_kafka", "topic": "press-a.images"},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": "/press-a"},
        "batch": {"max_open": 1, "max_records": 4000},
    }
)


class Told:
    """A cluster that has answered already."""

    def __init__(self, view: TopicView) -> None:
        self._view = view

    def view(self, *_: object) -> TopicView:
        return self._view

    def mirrored(self, *_: object) -> dict[int, tuple[int, str]]:
        """Nobody has published yet."""
        return {}

    def close(self) -> None:
        """Nothing is open."""


def skewed(progress: dict[int, int]) -> TopicView:
    """Let each partition end a little, or a lot, beyond where it was planned."""
    chance = random.Random(4711)
    marks = {
        p: Watermarks(0, end := planned + chance.choice((500, 5000, 10**6)), end)
        for p, planned in progress.items()
    }
    return TopicView("cluster", "press-a-topic", marks, tuple(marks), 1024**2, Retention())


def resolve(conn_id: str) -> RawConnection:
    extra = {"bootstrap.servers": "127.0.0.1:1"}
    return RawConnection(conn_id=conn_id, conn_type="kafka", extra=extra)


def milliseconds(work: Callable[[], object]) -> tuple[float, float]:
    """Measure the wall clock's and the processor's."""
    wall, processor = time.perf_counter(), time.process_time()
    work()
    return (time.perf_counter() - wall) * 1000, (time.process_time() - processor) * 1000


def measure(url: str) -> None:
    """Plan batch after batch; each is finished before the next, outside the measured time."""
    times: dict[str, list[tuple[float, float]]] = {
        "plan": [],
        "wait": [],
        "the pure part": [],
    }
    with closing(open_ledger(url)) as ledger:
        starts = dict.fromkeys(range(PARTITIONS), 0)
        ledger.register_pipeline(
            PIPELINE, cluster_id="cluster", topic="t", topic_id="press-a-topic", starts=starts
        )
        view = skewed(starts)
        told: Any = lambda *_, **__: Told(view)  # noqa: E731 - what a Context is given
        ctx = Context(SETTINGS, ledger, resolve, open_cluster=told)
        sizes = []
        for _ in range(ROUNDS):
            times["wait"].append(milliseconds(lambda: steps.wait(ctx)))
            state = world.state(ctx)
            times["the pure part"].append(milliseconds(partial(decide, state, view)))
            times["plan"].append(milliseconds(lambda: steps.plan(ctx)))
            sizes.append(finish(ctx))
        for what, taken in times.items():
            walls, processors = zip(*taken, strict=True)
            print(
                f"  {what:<20}median {statistics.median(walls):6.1f}   best {min(walls):6.1f}"
                f"   processor {statistics.median(processors):6.1f}"
            )
        print(f"  ranges in a batch: {min(sizes)} to {max(sizes)}")


def decide(state: PipelineState, view: TopicView) -> None:
    """Decide what `plan` decides, of what it was told."""
    readiness(state, view.watermarks, max_open=1)
    find_gaps(state.progress, view.watermarks)
    propose(SETTINGS, state, view.watermarks, largest_record_bytes=view.largest_record_bytes)


def finish(ctx: Context) -> int:
    """Carry the open batch to its commit; return the number of its ranges."""
    (leaf,) = world.state(ctx).open_batches
    batch = claim(ctx.ledger, leaf.id)
    record(ctx.ledger, batch.token, rows(batch.ranges))
    deliver(ctx.ledger, batch)
    ctx.ledger.commit(batch.id)
    return len(batch.ranges)


def main() -> None:
    """Measure both databases."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder:
        print(f"SQLite, {PARTITIONS} partitions")
        measure(f"sqlite:///{folder}/ledger.db")
    with postgres_server() as server:
        print(f"PostgreSQL, {PARTITIONS} partitions")
        measure(server.empty_database())


if __name__ == "__main__":
    main()
