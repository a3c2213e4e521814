"""The cold route: spark-submit against any master, rows in one Arrow file."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from frameferry.config.connections import SparkConnection
from frameferry.config.secrets import is_secret_option
from frameferry.errors import (
    ConfigError,
    FrameferryError,
    JudgingTimedOut,
    SparkLost,
    SparkUnavailable,
)
from frameferry.spark.deployment import (
    check_deployment,
    deployment_conf,
    packed_model,
    takes_model,
    with_archive,
)
from frameferry.spark.failures import JAVA_IS_GONE, SLOW_START, TRACEBACK, failure
from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.lifeline import SUBMITTER_VARIABLE, beginning, last_trace, signs_of_life
from frameferry.spark.resources import RESOURCES_SHARE, no_executor
from frameferry.spark.server import DAEMON

if TYPE_CHECKING:
    import pyarrow as pa

_APPLICATION = Path(__file__).with_name("application") / "infer_batch.py"
_JOB_FILE = "job.json"
_GRACE_SECONDS = 5.0
_POLL_SECONDS = 0.2
_LAST_BYTES = 256 * 1024
_CONF = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.log.level": "WARN",
    "spark.python.daemon.module": DAEMON,
}
_LOCAL_CONF = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
"""A driver without executors on other machines listens on loopback only."""
_CONNECT_VARIABLES = ("SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED", "SPARK_LOCAL_REMOTE")


def submitted_table(
    job: JudgeJob | ControlJob, connection: SparkConnection, *, deadline_seconds: float
) -> pa.Table:
    """
    Judge the job in a Spark application of its own.

    Job and configuration travel in files that only we can read: everybody can read a command line.

    Raises:
        SparkUnavailable: spark-submit cannot start here; SparkLost: it went away with the job.
        JudgingFailed: The job raised, or passed its deadline (its processes are ended then).
        KafkaUnavailable, OffsetsLost, ModelMismatch: What the job met.
    """
    check_deployment(connection)
    with _folder(connection) as folder, signs_of_life(folder / _JOB_FILE):
        rows = folder / "rows.arrow"
        command = _command(job, connection, folder, rows)
        status = _run(command, folder, connection, deadline_seconds)
        if status != 0 or not rows.exists():
            secrets = (*job.secrets, *_secret_values(connection.conf))
            raise _meaning(status, folder, connection.url, secrets)
        return read_rows(rows)


@contextmanager
def _folder(connection: SparkConnection) -> Iterator[Path]:
    """Make a folder of our own, where the driver sees it; remove it at the end."""
    shared = connection.deployment.folder
    try:
        made = tempfile.TemporaryDirectory(prefix="frameferry-submit-", dir=shared)
    except OSError as error:
        msg = f"connection {connection.conn_id!r}: folder {shared} cannot be written: {error}"
        raise ConfigError(msg, remedy="Let this user write there") from error
    with made as name:
        yield Path(name)


def _meaning(status: int, folder: Path, url: str, secrets: Sequence[str]) -> FrameferryError:
    """Say what ended the driver; if the job had begun, it may be the cause."""
    text = f"{_last_words(folder)}\nthe driver ended with status {status} and gave no rows"
    error = failure(text, url=url, secrets=secrets)
    if isinstance(error, SparkUnavailable) and beginning(folder / _JOB_FILE).exists():
        return SparkLost(error.what, remedy=error.remedy)
    return error


def write_rows(table: pa.Table, path: Path) -> None:
    """Write the rows as one Arrow file, whole or not at all."""
    import pyarrow as pa  # noqa: PLC0415

    partial = path.with_name(f"{path.name}.partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    partial.replace(path)


def read_rows(path: Path) -> pa.Table:
    """Read what `write_rows` wrote; the file may be removed afterwards."""
    import pyarrow as pa  # noqa: PLC0415

    with pa.OSFile(str(path), "rb") as source:
        return pa.ipc.open_file(source).read_all()


def _command(
    job: JudgeJob | ControlJob, connection: SparkConnection, folder: Path, rows: Path
) -> list[str]:
    job, conf = _deployed(job, connection, folder)
    properties = "".join(f"{name} {_escaped(value)}\n" for name, value in conf.items() if value)
    return [
        str(_spark_submit()),
        *("--master", connection.url),
        *("--name", f"frameferry {job.name}"),
        *("--properties-file", str(_private(folder / "spark.properties", properties))),
        "--load-spark-defaults",
        str(_APPLICATION),
        str(_private(folder / _JOB_FILE, job.to_json())),
        str(rows),
    ]


def _deployed(
    job: JudgeJob | ControlJob, connection: SparkConnection, folder: Path
) -> tuple[JudgeJob | ControlJob, dict[str, str]]:
    """Say what the application is set to, and pack what it takes along."""
    here = _LOCAL_CONF if connection.is_local else {}
    sent = deployment_conf(connection.deployment, is_yarn=connection.url == "yarn")
    conf = {**_CONF, **here, **sent, **connection.conf}
    if not takes_model(job, connection):
        return job, conf
    packed, archive = packed_model(job, folder)
    return packed, with_archive(conf, archive)


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n")


def _private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return path


def _spark_submit() -> Path:
    found = importlib.util.find_spec("pyspark")
    if found is None or not found.origin:
        msg = "pyspark is not installed here"
        raise ConfigError(msg, remedy="Install the pinned requirements, or use Spark Connect")
    return Path(found.origin).parent / "bin" / "spark-submit"


def _run(
    command: list[str], folder: Path, connection: SparkConnection, deadline_seconds: float
) -> int:
    ends = time.monotonic() + deadline_seconds
    try:
        with _group(command, folder) as process:
            if not connection.is_local:
                _await_executor(process, folder, connection.url, deadline_seconds)
            return process.wait(timeout=max(ends - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        msg = (
            f"judging passed its deadline of {deadline_seconds:g} s on Spark at {connection.url} "
            "and was ended"
        )
        raise JudgingTimedOut(msg, remedy=SLOW_START) from None
    except OSError as error:
        msg = f"spark-submit cannot be started: {error}"
        raise SparkUnavailable(
            msg, remedy="Install Java 17 or 21 and the pinned requirements"
        ) from error


def _await_executor(
    process: subprocess.Popen[bytes], folder: Path, url: str, deadline_seconds: float
) -> None:
    """Wait until the job begins, or its driver ends."""
    seconds = RESOURCES_SHARE * deadline_seconds
    ends = time.monotonic() + seconds
    while process.poll() is None and not beginning(folder / _JOB_FILE).exists():
        if time.monotonic() > ends:
            raise no_executor(url, seconds)
        time.sleep(_POLL_SECONDS)


@contextmanager
def _group(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start a process group that ends with this block, whatever ends the block."""
    with (folder / "stdout").open("wb") as stdout, (folder / "stderr").open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=_environment(),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process group to end, so that a cluster gets its executors back; then kill it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_SECONDS)


def _environment() -> dict[str, str]:
    """Give driver and workers this very Python, unless the environment chose one."""
    python = {"PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    inherited = {k: v for k, v in os.environ.items() if k not in _CONNECT_VARIABLES}
    return {**python, **inherited, SUBMITTER_VARIABLE: str(os.getpid())}


def _secret_values(conf: Mapping[str, str]) -> list[str]:
    return [value for name, value in conf.items() if is_secret_option(name) and value]


def _last_words(folder: Path) -> str:
    """
    Read the driver's traceback, as it left it or from stdout; otherwise the end of both outputs.

    The log on stderr comes last: in it, trouble that a retry mended looks like what ended the job.
    """
    trace = last_trace(folder / _JOB_FILE)
    if trace is not None and JAVA_IS_GONE not in trace:
        return trace
    driver = _tail(folder / "stdout")
    start = driver.find(TRACEBACK)
    return driver[start:] if start >= 0 else f"{driver}\n{_tail(folder / 'stderr')}"


def _tail(path: Path) -> str:
    with path.open("rb") as output:
        output.seek(max(0, path.stat().st_size - _LAST_BYTES))
        return output.read().decode("utf-8", "replace")
