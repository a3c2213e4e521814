"""The asset of a pipeline: an event of it says that the pictures of a batch were delivered."""

from __future__ import annotations

from collections.abc import Sequence

from airflow.sdk import Asset, get_current_context

from frameferry.domain.batch import Batch
from frameferry.domain.offsets import OffsetRange


def delivered(pipeline: str) -> Asset:
    """Name what is new with each live batch of a pipeline that is committed."""
    return Asset(f"delivered__{pipeline}")


def announce(pipeline: str, batches: Sequence[Batch]) -> None:
    """
    Tell the batches with the events of this task's assets; does nothing in a task without any.

    A task that is run again tells them again: the numbers of the batches are the same then.
    """
    context = get_current_context()
    for asset in context["task"].outlets:
        context["outlet_events"][asset].extra = {
            "pipeline": pipeline,
            "batches": [one.id for one in batches],
            "ranges": [_range(one) for batch in batches for one in batch.ranges],
        }


def _range(one: OffsetRange) -> dict[str, int]:
    return {"partition": one.partition, "from": one.start, "to": one.end}
