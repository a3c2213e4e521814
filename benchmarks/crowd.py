"""
Measure what many waiting pipelines cost under Airflow, and how soon one of them is carried.

    python -m benchmarks.crowd [--pipelines 1 10 50] [--seconds 60]

Each has a topic and a DAG of its own, and nothing to do. Prints a line a number of pipelines:
seconds until all wait; then the share of one core that each of Airflow's processes takes while they
do, with what it has started (the triggerer with its envoys, the scheduler with its executor); then
the seconds from a record of one of them to its whole file. SQLite for Airflow and ledger, as in the
demo.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from benchmarks.pipeline.processor import families, of_server
from benchmarks.pipeline.servers import SCHEDULED_PIPELINES, embedded
from benchmarks.sharing import filled
from frameferry.stack import airflow, stack

ROLES: Final = ("scheduler", "dag-processor", "triggerer", "api-server")
START_SECONDS: Final = 1800.0
CARRY_SECONDS: Final = 300.0
_POLL_SECONDS: Final = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pipelines", type=int, nargs="+", default=[1, 10, 50])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--folder", type=Path, default=Path("/tmp"))
    options = parser.parse_args()
    for count in options.pipelines:
        with embedded(options.folder, ["kafka", "ftp"]) as home:
            print(json.dumps(measured(home, count, options.seconds)), flush=True)


def measured(home: Path, count: int, lasting: float) -> dict[str, Any]:
    names = [f"line-{number:03d}" for number in range(count)]
    for name in names:
        write_pipeline(home / SCHEDULED_PIPELINES / f"{name}.yaml", name)
    producer = filled(names, 0)
    began = time.monotonic()
    stack.up(["airflow"])
    until(lambda: airflow.task_states(home).get("deferred", 0) >= count, START_SECONDS)
    waiting = time.monotonic() - began
    before = spent(home)
    time.sleep(lasting)
    shares = {role: (now - before[role]) / lasting for role, now in spent(home).items()}
    files = Path(stack.status()["ftp"]["root"], names[-1])
    sent = time.monotonic()
    producer.produce(names[-1], b"a picture")
    producer.flush(30)
    until(lambda: any(whole(files)), CARRY_SECONDS)
    return {
        "pipelines": count,
        "all wait, s": round(waiting),
        "cores": {role: round(share, 3) for role, share in shares.items()},
        "a picture, s": round(time.monotonic() - sent, 1),
    }


def write_pipeline(path: Path, name: str) -> None:
    content = {
        "pipeline": name,
        "kafka": {"connection": "plant_kafka", "topic": name},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": f"/{name}"},
    }
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def spent(home: Path) -> Counter[str]:
    """Add up processor seconds by Airflow's processes, each with all that it started."""
    seconds: Counter[str] = Counter(dict.fromkeys(ROLES, 0.0))  # type: ignore[arg-type]
    for process in families(of_server("airflow", str(home))()):
        with suppress(psutil.Error):
            if role := role_of(process):
                seconds[role] += sum(process.cpu_times()[:4])  # type: ignore[assignment]
    return seconds


def role_of(process: psutil.Process) -> str:
    """Name the nearest of Airflow's processes above, or the process itself."""
    for one in (process, *process.parents()):
        told = " ".join(one.cmdline())
        for role in ROLES:
            if role in told or role.replace("-", "_") in told:
                return role
    return ""


def whole(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.name[0] != "."]


def until(is_so: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    main()
