"""
Measure what a look of a pipeline that waits costs, as the triggerer takes it every three seconds.

    python -m benchmarks.waiting [--looks 200] [--rounds 5]

Processor milliseconds of all processes that take part, but for the servers, and milliseconds by the
clock: with Kafka asked in the process itself, and through an envoy. Kafka is started for it, in a
home of its own; the pipeline is caught up, and its ledger is SQLite.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import yaml
from confluent_kafka.admin import AdminClient, NewTopic

from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.envoy_cluster import EnvoyCluster
from frameferry.kafka.envoys import Envoys
from frameferry.pipeline import steps
from frameferry.pipeline.context import open_context
from frameferry.stack import stack

NAME = "line-000"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--looks", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    with caught_up_pipeline(), closing(Envoys()) as envoys:
        ways: dict[str, Any] = {"itself": Cluster, "an envoy": partial(EnvoyCluster, envoys)}
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(chosen.rounds):
            for way, opened in ways.items():
                look(opened)
                found[way].append(costs(partial(look, opened), chosen.looks, envoys))
        for way, measured in found.items():
            processor, clock = (statistics.median(column) for column in zip(*measured, strict=True))
            told = {
                "processor, ms a look": round(processor, 2),
                "clock, ms a look": round(clock, 1),
            }
            print(json.dumps({"asked by": way, **told}))
        print(json.dumps({"an envoy holds, MB": [memory(pid) for pid in envoys.pids]}))


def look(open_cluster: Callable[..., Cluster]) -> None:
    """Ask as the trigger does: find the file, open the ledger, ask, close."""
    settings = find_pipeline(pipelines_folder(), NAME)
    with open_context(settings, resolve_from_environment) as ctx:
        assert not steps.wait(replace(ctx, open_cluster=open_cluster)).now


def costs(work: Callable[[], None], times: int, envoys: Envoys) -> tuple[float, float]:
    before, began = spent(envoys), time.monotonic()
    for _ in range(times):
        work()
    clock = time.monotonic() - began
    return (spent(envoys) - before) * 1000 / times, clock * 1000 / times


def spent(envoys: Envoys) -> float:
    """Add up processor seconds: of this process and of its envoys."""
    used = [psutil.Process(pid).cpu_times() for pid in [os.getpid(), *envoys.pids]]
    return sum(one.user + one.system for one in used)


def memory(pid: int) -> int:
    return round(psutil.Process(pid).memory_full_info().uss / 1e6)


@contextmanager
def caught_up_pipeline() -> Iterator[None]:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FRAMEFERRY_HOME"] = folder
        os.environ["FRAMEFERRY_PIPELINES"] = str(Path(folder, "pipelines"))
        try:
            stack.up(["kafka"])
            os.environ.update(stack.environment())
            make_pipeline()
            yield
        finally:
            stack.down()


def make_pipeline() -> None:
    servers = stack.status()["kafka"]["bootstrap_servers"]
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
    admin.create_topics([NewTopic(f"{NAME}.images", 2, 1)])[f"{NAME}.images"].result(30)
    content = {
        "pipeline": NAME,
        "kafka": {"connection": "plant_kafka", "topic": f"{NAME}.images"},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": f"/{NAME}"},
    }
    pipelines_folder().mkdir(parents=True)
    path = pipelines_folder() / f"{NAME}.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    with open_context(find_pipeline(pipelines_folder(), NAME), resolve_from_environment) as ctx:
        steps.plan(ctx)


if __name__ == "__main__":
    main()
