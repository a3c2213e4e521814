"""The circuit breaker: too many quarantined images at once mean a bad world, not bad images."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, Connection, func, select, update

from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import batch, pipeline, quarantine, record
from frameferry.ledger.database.text import storable
from frameferry.ledger.guards.fence import Held

SHARE: Final = 0.05
"""The share of a batch's, or an hour's, images that may be quarantined, however many that is."""
HOUR_SECONDS: Final = 3600.0


def trip(connection: Connection, held: Held, max_quarantine: int) -> None:
    """
    Block the pipeline if a batch, or the last hour, has too many quarantined images.

    Too many is more than *max_quarantine* and more than a twentieth. What was quarantined before
    the pipeline was last unblocked does not count: a person has seen it.
    """
    for what, mine, of in (
        (f"of batch {held.id}", record.c.batch_id == held.id, batch.c.id == held.id),
        (
            "of the last hour",
            quarantine.c.found_at > from_now(-HOUR_SECONDS),
            (batch.c.pipeline_id == held.pipeline_id)
            & (batch.c.inferred_at > from_now(-HOUR_SECONDS)),
        ),
    ):
        reasons = _quarantined(connection, held, mine)
        count = sum(reasons.values())
        if count <= max_quarantine:
            # The sum below reads all batches ever: too slow to take at each judging.
            continue
        images = int(connection.scalar(select(func.sum(batch.c.record_count)).where(of)) or 0)
        if count > SHARE * images:
            words = ", ".join(f"{number} {reason}" for reason, number in reasons.items())
            _block(connection, held, f"{count} of {images} images {what} are quarantined: {words}")
            return


def _quarantined(connection: Connection, held: Held, mine: ColumnElement[bool]) -> dict[str, int]:
    query = (
        select(quarantine.c.reason, func.count())
        .join(record, record.c.id == quarantine.c.record_id)
        .join(pipeline, pipeline.c.id == record.c.pipeline_id)
        .where(
            record.c.pipeline_id == held.pipeline_id,
            quarantine.c.resolved_at.is_(None),
            pipeline.c.quarantine_counts_from.is_(None)
            | (quarantine.c.found_at > pipeline.c.quarantine_counts_from),
            mine,
        )
        .group_by(quarantine.c.reason)
        .order_by(func.count().desc(), quarantine.c.reason)
    )
    return dict(connection.execute(query).all())


def _block(connection: Connection, held: Held, reason: str) -> None:
    """Block, in place of any other block: this trouble is not found again by itself."""
    connection.execute(
        update(pipeline)
        .where(pipeline.c.id == held.pipeline_id)
        .values(blocked_reason=storable(reason), blocked_digest=None, blocked_at=from_now())
    )
