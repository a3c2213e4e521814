"""
A side that stays warm: a process that loads everything, then carries what it is asked to.

One JSON line in is one errand, one JSON line out its end. What the process or its children print
besides goes to its log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.pipeline.processor import families

Errand = Mapping[str, Any]
READY = "ready"
_LAST_BYTES = 3000
_PATIENCE_SECONDS = 20
_ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(Path(__file__).parents[2])}
"""The path is for what the process starts, such as Spark's workers."""


class Died(Exception):
    """A side ended instead of answering."""


class Program:
    """Start `python -m MODULE ARGUMENTS`; end it with `stop`."""

    def __init__(
        self, module: str, *arguments: str, log: Path, env: Mapping[str, str] | None = None
    ) -> None:
        self._log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stream,
                env={**os.environ, **_ENVIRONMENT, **(env or {})},
                text=True,
            )

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(self._process.pid)] if self._process.poll() is None else []

    def wait_ready(self) -> None:
        """Wait until everything is loaded."""
        self._answer()

    def carry(self, errand: Errand) -> dict[str, Any]:
        """Hand an errand over, and wait for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(errand) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def stop(self) -> None:
        """End the process, in good order if it can, and what it started; may be called twice."""
        family = families(self.processes())
        if self._process.stdin is not None and not self._process.stdin.closed:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            tail = self._log.read_bytes()[-_LAST_BYTES:].decode(errors="replace")
            msg = f"{self._process.args}: ended with {self._process.returncode}\n{tail}"
            raise Died(msg)
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(carry: Callable[[Errand], Mapping[str, Any]]) -> None:
    """Say that all is loaded, then run each errand that comes in; end with the input."""
    answers = claim_answers()
    print(json.dumps({READY: True}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(carry(json.loads(line))), file=answers, flush=True)


def claim_answers() -> Any:  # noqa: ANN401 - a text stream
    """Keep the answers' pipe for ourselves: whatever else is printed goes to the log."""
    global _answers  # noqa: PLW0603 - descriptor 1 is the process's, and is claimed once
    if _answers is None:
        _answers = os.fdopen(os.dup(1), "w")
        os.dup2(2, 1)
    return _answers


_answers: Any = None
