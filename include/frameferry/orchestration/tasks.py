"""Call one step from one Airflow task, and give Airflow its two answers: try again, or fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.config.memory import bound_arenas
from frameferry.config.settings import PipelineSettings
from frameferry.domain.batch import Batch
from frameferry.errors import FrameferryError, TransientError
from frameferry.orchestration.connections import resolve_through_airflow
from frameferry.pipeline.context import Context, open_context

ResultT = TypeVar("ResultT")
_LABELLED_RANGES = 3


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Translate our errors once: a transient one is retried, a terminal one fails at once."""
    try:
        yield
    except TransientError as error:
        raise AirflowException(str(error)) from error
    except FrameferryError as error:
        raise AirflowFailException(str(error)) from error


def call_step(
    pipeline: str,
    step: Callable[[Context], ResultT],
    find: Callable[[Path, str], PipelineSettings] = find_pipeline,
) -> ResultT:
    """
    Run one step of a pipeline with Airflow's connections.

    Args:
        pipeline: Its name.
        step: What to do.
        find: Finds the pipeline's settings in the folder of files.

    Raises:
        AirflowException: A transient error: Airflow tries again.
        AirflowFailException: A terminal one: the task fails at once and says what to do.
    """
    bound_arenas()
    with airflow_errors():
        settings = find(pipelines_folder(), pipeline)
        with open_context(settings, resolve_through_airflow) as ctx:
            return step(ctx)


def call_batch_step(
    pipeline: str, batch_id: int, step: Callable[[Context, int], ResultT]
) -> ResultT:
    """Run one step of a batch in a mapped task, labelled with the batch and its offsets."""
    # Also where the ledger cannot be asked which offsets it has.
    _label_map_index(f"batch {batch_id}")

    def labelled(ctx: Context) -> ResultT:
        _label_map_index(batch_label(ctx.ledger.batch(batch_id)))
        return step(ctx, batch_id)

    return call_step(pipeline, labelled)


def batch_label(batch: Batch) -> str:
    """Say which offsets a batch has, as people read them in a grid: `batch 12: p0 120-620`."""
    shown = [f"p{one.partition} {one.start}-{one.end}" for one in batch.ranges[:_LABELLED_RANGES]]
    if more := len(batch.ranges) - len(shown):
        shown.append(f"{more} more")
    return f"batch {batch.id}: {', '.join(shown)}"


def _label_map_index(label: str) -> None:
    """Show a mapped task's label instead of its number."""
    get_current_context()["label"] = label
