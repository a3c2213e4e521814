"""Open a pipeline's context for a command."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline, load_all
from frameferry.config.home import pipelines_folder
from frameferry.pipeline.context import Context, open_context
from frameferry.stack.stack import environment


def use_stack_connections() -> None:
    """
    Let the embedded stack of this home fill in what the environment does not say.

    A connection that is set as `AIRFLOW_CONN_<ID>` always wins.
    """
    for name, value in environment().items():
        if name.startswith("AIRFLOW_CONN_"):
            os.environ.setdefault(name, value)


@contextmanager
def session(pipeline: str) -> Iterator[Context]:
    """Open the context of one pipeline with connections from the environment."""
    settings = find_pipeline(pipelines_folder(), pipeline)
    with open_context(settings, resolve_from_environment) as ctx:
        yield ctx


def pipeline_names(pipeline: str | None) -> list[str]:
    """List the pipeline asked for, or all whole ones."""
    if pipeline is not None:
        return [pipeline]
    whole, _ = load_all(pipelines_folder())
    return [settings.pipeline for settings in whole.values()]
