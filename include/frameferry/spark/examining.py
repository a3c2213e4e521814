"""Look at a Spark Connect server from inside: its version, and the model as its workers see it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from frameferry.config.connections import SparkConnection
from frameferry.config.settings import ModelSettings
from frameferry.errors import FrameferryError
from frameferry.inference.digest import judge_digest
from frameferry.inference.versions import at_newest
from frameferry.spark.reach import probe

if TYPE_CHECKING:
    import pyarrow as pa

_SCHEMA = "host string, python string, digest string, lacks string"
_TASKS_A_CORE = 2
"""So that no executor is left out by chance; a small one may be all the same."""


class WorkerView(NamedTuple):
    """What a Python worker has: the model's digest, or why it `lacks` one."""

    host: str
    python: str
    digest: str
    lacks: str


def versions(connection: SparkConnection) -> tuple[str, str]:
    """
    Ask a Connect server for its version; give the client's beside it.

    Raises:
        SparkUnavailable, JudgingFailed: The server does not answer, or not as it should.
    """
    probe(connection.url)
    # It imports grpc and pandas, which takes seconds: too slow for a DAG's parsing.
    from frameferry.spark.session import passing_session  # noqa: PLC0415

    with passing_session(connection) as session:
        return str(session.version), version("pyspark")


def worker_views(
    connection: SparkConnection, model: ModelSettings
) -> tuple[str | None, set[WorkerView]]:
    """
    Let workers digest a model's files: a small job of a few tasks a core, which loads no model.

    It runs in the session that judges: on workers that are warm, or that the next batch needs.

    Returns:
        The digest here, None if its files are not on this machine; and what the workers see.

    Raises:
        SparkUnavailable, JudgingFailed, ConfigError: The job did not run.
        ModelMismatch: Files and card do not fit, here.
    """
    settings = at_newest(model)
    here = judge_digest(settings) if _is_here(settings) else None
    probe(connection.url)
    from frameferry.spark.frame import core_count  # noqa: PLC0415 - as above
    from frameferry.spark.session import shared_session  # noqa: PLC0415

    with shared_session(connection) as session:
        tasks = _TASKS_A_CORE * core_count(session)
        frame = session.range(0, tasks, 1, tasks).mapInArrow(_digesting(settings), _SCHEMA)
        return here, {WorkerView(**row) for row in frame.toArrow().to_pylist()}


def _is_here(model: ModelSettings) -> bool:
    return model.judge is not None or Path(model.name).exists()


def _digesting(
    settings: ModelSettings,
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def digest(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa  # noqa: PLC0415 - on the worker

        for _ in batches:
            yield pa.RecordBatch.from_pylist([_view(settings)._asdict()])

    return digest


def _view(settings: ModelSettings) -> WorkerView:
    try:
        digest, lacks = judge_digest(settings), ""
    except FrameferryError as error:
        digest, lacks = "", error.what
    python = ".".join(map(str, sys.version_info[:2]))
    return WorkerView(socket.gethostname(), python, digest, lacks)
