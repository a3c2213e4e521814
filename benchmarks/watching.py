"""
Measure what a look of the monitor costs: all pipelines asked at once, their Kafka there or silent.

    python -m benchmarks.watching [--pipelines 1 10 50]

Each has a topic of two partitions with a backlog. Prints a line a number of pipelines: seconds of
a look by the clock and of this process's processor; by the clock for one pipeline after another,
each with a client of its own; and where Kafka is silent. SQLite for the ledger.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.pipeline.servers import embedded
from benchmarks.sharing import filled
from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import load_all
from frameferry.config.home import pipelines_folder
from frameferry.operations.monitor.survey import survey_all
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.context import open_context
from frameferry.stack import stack

BACKLOG: Final = 50
SILENT: Final = '{"conn_type": "kafka", "extra": {"bootstrap.servers": "127.0.0.1:1"}}'


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    options = parser.parse_args()
    for count in options.pipelines:
        with embedded(options.folder, ["kafka"]) as home:
            os.environ.update(stack.environment())
            os.environ["FRAMEFERRY_PIPELINES"] = str(home / "watched")
            print(json.dumps(measured(home / "watched", count)), flush=True)


def measured(folder: Path, count: int) -> dict[str, Any]:
    folder.mkdir()
    names = [f"line-{number:03d}" for number in range(count)]
    filled(names, BACKLOG)
    for name in names:
        (folder / f"{name}.yaml").write_text(pipeline_file(name))
    whole, _ = load_all(pipelines_folder())
    for settings in whole.values():
        with open_context(settings, resolve_from_environment) as ctx:
            steps.plan(ctx)
    look()
    clock, processor = look()
    began = time.monotonic()
    for settings in whole.values():
        with open_context(settings, resolve_from_environment) as ctx:
            status(ctx)
    in_turn = time.monotonic() - began
    os.environ["AIRFLOW_CONN_PLANT_KAFKA"] = SILENT
    silent, _ = look()
    return {
        "pipelines": count,
        "a look, s": round(clock, 2),
        "processor, s": round(processor, 2),
        "one after another, s": round(in_turn, 2),
        "Kafka silent, s": round(silent, 2),
    }


def look() -> tuple[float, float]:
    began, used = time.monotonic(), time.process_time()
    answers = survey_all(resolve_from_environment)
    assert all(answer.error is None for answer in answers)
    return time.monotonic() - began, time.process_time() - used


def pipeline_file(name: str) -> str:
    return yaml.safe_dump(
        {
            "pipeline": name,
            "kafka": {"connection": "plant_kafka", "topic": name},
            "model": "none",
            "deliver": {"connection": "archive_ftp", "base": f"/{name}"},
        }
    )


if __name__ == "__main__":
    main()
