"""The kept results: every round, and on what, with what and when it was measured."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from benchmarks.pipeline.options import Options
from benchmarks.pipeline.rounds import Round
from benchmarks.pipeline.servers import ROOT
from frameferry.stack.jars import jars

PACKAGES: Final = ("tensorflow", "pyspark", "apache-airflow", "confluent-kafka", "pillow")
_SETTINGS: Final = (
    "parts",
    "rounds",
    "far_rounds",
    "share",
    "batches",
    "scheduled_pictures",
    "scheduled_batches",
    "scheduled_rounds",
    "loop_decoding",
    "ftp",
    "note",
)


@dataclass(frozen=True)
class Results:
    """All rounds, and a description of the run."""

    run: Mapping[str, Any]
    rounds: list[Round]

    def of(self, part: str, side: str, model: str = "", size: str = "") -> list[Round]:
        return [
            each
            for each in self.rounds
            if (each.part, each.side) == (part, side)
            and model in {"", each.model}
            and size in {"", each.size}
        ]

    def median(self, found: list[Round], measure: Callable[[Round], float]) -> float | None:
        """Give the median of some rounds; None where there are none."""
        return statistics.median(map(measure, found)) if found else None

    def loads(self, part: str) -> list[tuple[str, str]]:
        """List the (model, size) of a part, in the order they were measured."""
        return list(
            dict.fromkeys((each.model, each.size) for each in self.rounds if each.part == part)
        )


def settings_of(options: Options) -> dict[str, Any]:
    return {name: value for name, value in vars(options).items() if name in _SETTINGS}


def described(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Say what is about to be measured, and on what; nothing that names the machine."""
    return {
        "commit": _git("rev-parse", "--short=10", "HEAD"),
        "changed_since_commit": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "when": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": {
            "cores": os.cpu_count(),
            "processor": _processor(),
            "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
            "kafka": next(jars().glob("kafka_2.13-*.jar")).stem.rpartition("-")[2],
        },
        "settings": dict(settings),
    }


def write(results: Results, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"run": results.run, "rounds": [asdict(each) for each in results.rounds]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> Results:
    content = json.loads(path.read_text(encoding="utf-8"))
    names = {field.name for field in fields(Round)}
    rounds = [
        Round(**{name: value for name, value in each.items() if name in names})
        for each in content["rounds"]
    ]
    return Results(content["run"], rounds)


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
