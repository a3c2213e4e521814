"""Open a pipeline's context for a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from frameferry.cli.terminal import err
from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline, load_all
from frameferry.config.home import pipelines_folder
from frameferry.config.raw import RawConnection
from frameferry.config.settings import PipelineSettings
from frameferry.errors import FrameferryError, FtpUnavailable, KafkaUnavailable, SparkUnavailable
from frameferry.pipeline.context import Context, open_context
from frameferry.stack import stack

_AWAY = (KafkaUnavailable, SparkUnavailable, FtpUnavailable)


def use_stack_connections() -> None:
    """
    Let the embedded stack of this home fill in what the environment does not say.

    A connection that is set as `AIRFLOW_CONN_<ID>` always wins.
    """
    for name, value in stack.environment().items():
        if name.startswith("AIRFLOW_CONN_"):
            os.environ.setdefault(name, value)


def resolve_and_revive(conn_id: str) -> RawConnection:
    """
    Read a connection; where it is an embedded server's that died, start that again first.

    Raises:
        ConnectionMissing: It is not defined, or makes no sense.
        StackError: The server died again and again.
    """
    server = _server(conn_id)
    if server is not None:
        stack.revive(server, on_progress=_said)
    return resolve_from_environment(conn_id)


@contextmanager
def session(pipeline: str) -> Iterator[Context]:
    """Open the context of one pipeline, by its name, with connections from the environment."""
    settings = find_pipeline(pipelines_folder(), pipeline)
    with open_context(settings, resolve_and_revive) as ctx:
        try:
            yield ctx
        except _AWAY as error:
            explained(error, settings)
            raise


def explained(error: FrameferryError, settings: PipelineSettings) -> FrameferryError:
    """Say of an embedded server that is away what became of it, in place of the remedy."""
    match error:
        case KafkaUnavailable():
            conn_id = settings.kafka.connection
        case SparkUnavailable():
            conn_id = settings.spark.connection
        case FtpUnavailable():
            conn_id = settings.deliver.connection
        case _:
            return error
    server = _server(conn_id)
    death = server and stack.death(server)
    return error.advise(death) if death else error


def pipeline_names(pipeline: str | None) -> list[str]:
    """List the pipeline asked for, or all whole ones."""
    if pipeline is not None:
        return [pipeline]
    whole, _ = load_all(pipelines_folder())
    return [settings.pipeline for settings in whole.values()]


def _server(conn_id: str) -> str | None:
    """Name the embedded server that a connection leads to; None if it is the user's own."""
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    return stack.server_behind(variable, os.environ.get(variable, ""))


def _said(line: str) -> None:
    err.print(line, highlight=False, markup=False)
