"""Who did what by hand: written once, never changed."""

from __future__ import annotations

from sqlalchemy import Connection, insert

from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import action
from frameferry.ledger.database.text import signature, storable


def write_action(
    connection: Connection, *, who: str, what: str, pipeline_id: int | None, detail: str
) -> None:
    """Append one line to the record of actions; *who* is written as `signature` does."""
    connection.execute(
        insert(action).values(
            done_at=from_now(),
            who=signature(who),
            what=what,
            pipeline_id=pipeline_id,
            detail=storable(detail),
        )
    )
