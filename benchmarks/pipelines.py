"""
Measure what each further pipeline costs where nothing happens: reading its file, parsing its DAG.

    python -m benchmarks.pipelines [--pipelines 1 50 500]

Processor milliseconds: reading all files for the first time, a pipeline; finding one of them again,
as each look of a waiting pipeline does; building all DAGs, as the DAG processor does, a pipeline.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", type=int, nargs="+", default=[1, 50, 500])
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        for number in parser.parse_args().pipelines:
            folder = Path(home) / str(number)
            write_files(folder, number)
            print(json.dumps({"pipelines": number, **costs(folder, number)}), flush=True)


def write_files(folder: Path, number: int) -> None:
    folder.mkdir()
    for line in range(number):
        content = {
            "pipeline": f"line-{line:03d}",
            "kafka": {"connection": "plant_kafka", "topic": f"line-{line:03d}.images"},
            "model": {"path": "include/models/surface/1"},
            "deliver": {"connection": "archive_ftp", "base": f"/line-{line:03d}"},
        }
        (folder / f"line-{line:03d}.yaml").write_text(yaml.safe_dump(content))


def costs(folder: Path, number: int) -> dict[str, float]:
    os.environ["FRAMEFERRY_PIPELINES"] = str(folder)
    from frameferry.config.folder import find_pipeline, load_all  # noqa: PLC0415 - after its home
    from frameferry.orchestration.factory import ferry_dags  # noqa: PLC0415 - imports Airflow

    first = spent(lambda: load_all(folder))
    again = min(spent(lambda: find_pipeline(folder, "line-000")) for _ in range(3))
    list(ferry_dags())
    building = min(spent(lambda: list(ferry_dags())) for _ in range(3))
    return {
        "read first, ms a pipeline": round(first / number, 3),
        "a look of one, ms": round(again, 3),
        "build DAGs, ms a pipeline": round(building / number, 3),
    }


def spent(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    main()
