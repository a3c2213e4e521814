"""The command `frameferry run PIPELINE --until-caught-up` as a process, watched as it carries."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
import yaml

from benchmarks.pipeline import ledgers
from benchmarks.pipeline.memory import Family
from benchmarks.pipeline.processor import of_server
from benchmarks.pipeline.servers import SCHEDULED_PIPELINES, FtpSite
from frameferry.stack import stack

MODEL: Final = "include/models/surface/1"
MOST_FAILURES: Final = 10
_POLL_SECONDS: Final = 0.25
_BACK_OFF_SECONDS: Final = 10.0


@dataclass
class Command:
    """One pipeline of a home, on the demo's model; `carry` may be called again."""

    home: Path
    pipeline: str
    failures: list[str] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def topic(self) -> str:
        return f"{self.pipeline}.images"

    @property
    def base(self) -> str:
        return f"/{self.pipeline}"

    @property
    def family(self) -> Family:
        """Give the processes that carry: the embedded Spark server's and the command's."""
        return Family(spark=of_server("spark", str(self.home)), client=self._client)

    def write(self, site: FtpSite, batch: dict[str, Any] | None = None) -> None:
        """Write the pipeline's file: defaults, but for what *batch* says."""
        content = {
            "pipeline": self.pipeline,
            "kafka": {"connection": "plant_kafka", "topic": self.topic},
            "model": {"path": str(Path(MODEL).absolute())},
            "deliver": {"connection": site.connection, "base": self.base},
            **({"batch": batch} if batch else {}),
        }
        place = self.home / SCHEDULED_PIPELINES / f"{self.pipeline}.yaml"
        place.write_text(yaml.safe_dump(content), encoding="utf-8")

    def carry(self, pictures: int, on_batch: Callable[[ledgers.Progress], None]) -> None:
        """
        Run the command until so many more pictures are committed, again where it fails; a Spark
        server that died is started again.

        Raises:
            RuntimeError: It failed MOST_FAILURES times; its last lines.
        """
        wanted = ledgers.progress(self.home, self.pipeline).delivered + pictures
        while ledgers.progress(self.home, self.pipeline).delivered < wanted:
            if self._run(on_batch):
                self.failures.append(self._last_line())
                if len(self.failures) >= MOST_FAILURES:
                    raise RuntimeError(self.failures[-1])
                stack.up(["spark"])
                time.sleep(_BACK_OFF_SECONDS)

    def _run(self, on_batch: Callable[[ledgers.Progress], None]) -> int:
        argv = [Path(sys.executable).with_name("frameferry"), "run", self.pipeline]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*argv, "--until-caught-up"], stdout=log, stderr=log, env=dict(os.environ)
            )
        seen = ledgers.progress(self.home, self.pipeline)
        try:
            while self._process.poll() is None:
                found = ledgers.progress(self.home, self.pipeline)
                if found.batches > seen.batches:
                    on_batch(found)
                    seen = found
                time.sleep(_POLL_SECONDS)
        finally:
            self._process.kill()
        return self._process.wait()

    def _client(self) -> list[psutil.Process]:
        if self._process is None or self._process.poll() is not None:
            return []
        return [psutil.Process(self._process.pid)]

    def _last_line(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return lines[-1] if lines else ""

    @property
    def _log(self) -> Path:
        return self.home / "logs" / f"run-{self.pipeline}.log"
