"""The four sides, each asked the same: carry this backlog to that FTP server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import psutil
import yaml

from benchmarks.pipeline import ledgers
from benchmarks.pipeline.connector import connector
from benchmarks.pipeline.loads import FAR, Load
from benchmarks.pipeline.loop import REDUCED, reduction
from benchmarks.pipeline.processor import of_server
from benchmarks.pipeline.programs import Program
from benchmarks.pipeline.servers import SCHEDULED_PIPELINES, FtpSite
from benchmarks.pipeline.topics import Backlog
from frameferry.ftp.fitness.endurance import FAR_CONNECTIONS
from frameferry.stack import stack

FERRY: Final = "frameferry"
SCHEDULED: Final = "scheduled"
LOOP: Final = "loop"
OLD: Final = "old design"
OLD_BATCH_BYTES: Final = 128 * 10**6
"""What one of its batches may collect in the driver: enough to be quick, not enough to die."""
SCHEDULED_SECONDS: Final = 1200


@dataclass(frozen=True)
class Stage:
    """Where a load is carried: the servers, and the models' folder."""

    home: Path
    bootstrap: str
    models: Path
    site: FtpSite
    load: Load
    loop_decoding: str = REDUCED

    @property
    def model(self) -> Path:
        return self.models / self.load.model


class Contestant(Protocol):
    """One side; everything of it is loaded once `wait_ready` returns."""

    name: str

    def wait_ready(self) -> None: ...

    def processes(self) -> list[psutil.Process]:
        """Give the roots of all its processes, the servers that are part of it included."""

    def carry(self, backlog: Backlog, folder: str) -> Mapping[str, Any]:
        """Return once every picture is on the FTP server, and committed where it commits."""

    def stop(self) -> None: ...


@dataclass
class Warm:
    """A side that is a program of ours: it gets the backlog as an errand."""

    name: str
    stage: Stage
    program: Program

    def wait_ready(self) -> None:
        self.program.wait_ready()

    def processes(self) -> list[psutil.Process]:
        return self.program.processes()

    def carry(self, backlog: Backlog, folder: str) -> Mapping[str, Any]:
        site = self.stage.site
        where = {"host": site.host, "port": site.port, "folder": folder}
        account = {"user": site.user, "password": site.password}
        what = {"topic": backlog.topic, "starts": backlog.starts, "pictures": backlog.pictures}
        return self.program.carry({**where, **account, **what})

    def stop(self) -> None:
        self.program.stop()


def start_loop(stage: Stage) -> Warm:
    size = stage.load.size
    ratio = reduction(size.width, size.height) if stage.loop_decoding == REDUCED else 1
    arguments = (stage.bootstrap, str(stage.model / "model.keras"), str(ratio))
    log = stage.home / "logs" / "loop.log"
    return Warm(LOOP, stage, Program("benchmarks.pipeline.loop", *arguments, log=log))


def start_old(stage: Stage) -> Warm:
    size = stage.load.size
    records = max(8, round(OLD_BATCH_BYTES / (size.width * size.height / 4)))
    model = str(stage.model / "model.keras")
    arguments = (stage.bootstrap, model, str(records), str(connector()))
    log = stage.home / "logs" / "old_design.log"
    return Warm(OLD, stage, Program("benchmarks.pipeline.old_design", *arguments, log=log))


@dataclass
class Ferry:
    """`frameferry run` in one process, judging on the embedded Spark Connect server."""

    stage: Stage
    name: str = FERRY
    program: Program = field(init=False)

    def __post_init__(self) -> None:
        folder = self.stage.home / f"pipelines-{self.stage.load.name}"
        write_pipeline(folder, self.stage, self.pipeline, FERRY)
        environment = {"FRAMEFERRY_PIPELINES": str(folder)}
        log = self.stage.home / "logs" / "ferry.log"
        self.program = Program("benchmarks.pipeline.ferry", log=log, env=environment)

    @property
    def pipeline(self) -> str:
        return f"run-{self.stage.load.name}"

    def wait_ready(self) -> None:
        self.program.wait_ready()

    def processes(self) -> list[psutil.Process]:
        return self.program.processes() + of_server("spark", str(self.stage.home))()

    def carry(self, backlog: Backlog, folder: str) -> Mapping[str, Any]:  # noqa: ARG002
        before = ledgers.progress(self.stage.home, self.pipeline)
        self.program.carry({"pipeline": self.pipeline})
        return grown(self.stage.home, self.pipeline, before)

    def stop(self) -> None:
        self.program.stop()


@dataclass
class Scheduled:
    """The same pipeline as a DAG of the embedded Airflow, which is up only while it is carried."""

    stage: Stage
    name: str = SCHEDULED

    def __post_init__(self) -> None:
        folder = self.stage.home / SCHEDULED_PIPELINES
        write_pipeline(folder, self.stage, self.pipeline, SCHEDULED)

    @property
    def pipeline(self) -> str:
        return f"dag-{self.stage.load.name}"

    def wait_ready(self) -> None:
        stack.up(["airflow"])

    def processes(self) -> list[psutil.Process]:
        home = str(self.stage.home)
        return of_server("spark", home)() + of_server("airflow", home)()

    def carry(self, backlog: Backlog, folder: str) -> Mapping[str, Any]:  # noqa: ARG002
        before = ledgers.progress(self.stage.home, self.pipeline)
        wanted = before.delivered + backlog.pictures
        ledgers.wait_for(self.stage.home, self.pipeline, wanted, seconds=SCHEDULED_SECONDS)
        return grown(self.stage.home, self.pipeline, before)

    def stop(self) -> None:
        stack.down(["airflow"])


def grown(home: Path, pipeline: str, before: ledgers.Progress) -> Mapping[str, Any]:
    after = ledgers.progress(home, pipeline)
    return {
        "batches": after.batches - before.batches,
        "delivered": after.delivered - before.delivered,
    }


def topic_of(load: Load, *, scheduled: bool = False) -> str:
    return f"{'dag' if scheduled else 'run'}-{load.name}.images"


def folder_of(name: str, load: Load) -> str:
    return f"/{name.replace(' ', '-')}-{load.name}"


def write_pipeline(folder: Path, stage: Stage, pipeline: str, side: str) -> None:
    """
    Write a pipeline's file as a user would: defaults, but for the size of a batch, and far away
    as many connections as `frameferry probe` says there.
    """
    load = stage.load
    far = {"connections": FAR_CONNECTIONS} if load.part == FAR else {}
    content = {
        "pipeline": pipeline,
        "kafka": {
            "connection": "plant_kafka",
            "topic": topic_of(load, scheduled=side == SCHEDULED),
        },
        "model": {"path": str(stage.model)},
        "deliver": {"connection": stage.site.connection, "base": folder_of(side, load), **far},
        "batch": {"max_records": load.batch_records},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{pipeline}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")


Start = Callable[[Stage], Contestant]
STARTS: Final[Mapping[str, Start]] = {
    FERRY: partial(Ferry),
    LOOP: start_loop,
    OLD: start_old,
    SCHEDULED: partial(Scheduled),
}
