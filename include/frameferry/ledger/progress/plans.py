"""Freeze a batch's ranges, by compare-and-swap on the planned offsets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, insert

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LedgerConflict, PlanStale
from frameferry.ledger.database.bulk import insert_rows
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import batch, batch_range
from frameferry.ledger.database.text import storable
from frameferry.ledger.progress.pipelines import PipelineKey, need_pipeline
from frameferry.ledger.progress.swaps import swap_planned


def add_batch(
    connection: Connection,
    name: str,
    *,
    ranges: Sequence[OffsetRange],
    sentence: str,
    config_digest: str,
) -> int:
    """
    Freeze a live batch's ranges, and return its id.

    Each range must start at its partition's planned offset, which moves to the range's end.

    Raises:
        PlanStale: A planned offset is elsewhere: another planner was faster.
    """
    if not ranges:
        msg = "a batch needs at least one range"
        raise LedgerConflict(msg, remedy="This should be reported", pipeline=name)
    key = need_pipeline(connection, name)
    move_planned(connection, key, sorted(ranges), name)
    batch_id = insert_batch(
        connection, key, kind="live", sentence=sentence, config_digest=config_digest
    )
    insert_ranges(connection, key, batch_id, ranges, is_live_root=True)
    return batch_id


def move_planned(
    connection: Connection, key: PipelineKey, ranges: Sequence[OffsetRange], name: str
) -> None:
    """
    Swap each planned offset from a range's start to its end, in partition order.

    Raises:
        PlanStale: One of them is elsewhere by now.
    """
    if swap_planned(connection, key, ranges) != len(ranges):
        msg = "the planned offsets have moved: another planner was faster"
        raise PlanStale(msg, remedy="Plan again", pipeline=name)


def insert_batch(connection: Connection, key: PipelineKey, **columns: Any) -> int:  # noqa: ANN401 - columns of batch
    """Insert a batch that nobody has claimed yet, and return its id."""
    defaults = {"attempt": 0, "charges": 0, "planned_at": from_now()}
    sentence = storable(columns.pop("sentence"))
    statement = (
        insert(batch)
        .values(
            pipeline_id=key.id,
            generation=key.generation,
            sentence=sentence,
            **{**defaults, **columns},
        )
        .returning(batch.c.id)
    )
    return int(connection.execute(statement).scalar_one())


def insert_ranges(
    connection: Connection,
    key: PipelineKey,
    batch_id: int,
    ranges: Iterable[OffsetRange],
    *,
    is_live_root: bool,
) -> None:
    """Freeze a batch's ranges."""
    insert_rows(
        connection,
        batch_range,
        [
            {
                "batch_id": batch_id,
                "pipeline_id": key.id,
                "generation": key.generation,
                "partition": span.partition,
                "start_offset": span.start,
                "end_offset": span.end,
                "is_live_root": is_live_root,
            }
            for span in sorted(ranges)
        ],
    )
