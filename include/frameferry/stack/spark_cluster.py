"""A standalone Spark cluster's master and workers, for the containers; a Connect server uses it."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from frameferry.stack import layout, ports, spark
from frameferry.stack.processes import Command

MASTER_PORT, WORKER_PORT = ports.WELL_KNOWN["master"], ports.WELL_KNOWN["worker"]
_PACKAGE = "org.apache.spark.deploy"


@dataclass(frozen=True, slots=True)
class Master:
    """The master, which workers and the Connect server find by *host*."""

    folder: Path
    log: Path
    host: str

    def prepare(self) -> None:
        """Write its log's settings."""
        spark.write_logging(self.folder)

    def commands(self) -> Mapping[str, Command]:
        """One process."""
        place = ("--host", self.host, "--port", str(MASTER_PORT))
        return {
            "spark-master": _command(self.folder, self.log, f"{_PACKAGE}.master.Master", *place)
        }

    def is_ready(self) -> bool:
        """Try its port."""
        return ports.answers(MASTER_PORT, host=self.host)


@dataclass(frozen=True, slots=True)
class Worker:
    """
    A worker of one master.

    Args:
        folder: Its own; executors' scratch files lie there.
        log: Its log.
        master: `spark://host:port`.
        cores: How many tasks it takes at once. Each is a Python process with a model of its own.
        memory: What its executors' JVMs may take, in Spark's words. Python's memory is beside that.
    """

    folder: Path
    log: Path
    master: str
    cores: int = 1
    memory: str = "1g"

    def prepare(self) -> None:
        """Write its log's settings."""
        spark.write_logging(self.folder)

    def commands(self) -> Mapping[str, Command]:
        """One process; executors are its children."""
        bounds = ("--port", str(WORKER_PORT), "--cores", str(self.cores), "--memory", self.memory)
        words = (*bounds, "--work-dir", str(self.folder / "work"), self.master)
        return {
            "spark-worker": _command(self.folder, self.log, f"{_PACKAGE}.worker.Worker", *words)
        }

    def is_ready(self) -> bool:
        """Try its port, on the address by which others find this machine."""
        return ports.answers(WORKER_PORT, host=socket.gethostname())


def _command(folder: Path, log: Path, main_class: str, *words: str) -> Command:
    argv = (str(layout.pyspark() / "bin" / "spark-class"), main_class, *words)
    return Command(argv, folder=folder, log=log, env=spark.environment(folder))
