"""Images that Kafka lost between their judging and their delivery: their rows end in a gap."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, select, update

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.bulk import as_set
from frameferry.ledger.dialects import AnyRow
from frameferry.ledger.fence import Held, fence
from frameferry.ledger.gaps import insert_gap
from frameferry.ledger.pipelines import Known
from frameferry.ledger.tables import batch, current, record


def record_losses(
    connection: Connection, token: Token, lost: Sequence[tuple[OffsetRange, str]]
) -> int:
    """Give rows that Kafka no longer holds their outcome; see `Ledger.record_losses`."""
    held = fence(
        connection,
        token,
        only_if=batch.c.inferred_at.is_not(None) & batch.c.delivered_at.is_(None),
        otherwise="only a batch that is judged and not delivered can lose images",
    )
    count = 0
    for part, cause in lost:
        if rows := _undone(connection, held, part):
            narrow = OffsetRange(part.partition, rows[0].offset, part.end)
            _end(connection, held, narrow, rows, cause)
            count += len(rows)
    return count


def _undone(connection: Connection, held: Held, part: OffsetRange) -> Sequence[AnyRow]:
    query = select(record.c.id, record.c.offset).where(
        record.c.batch_id == held.id,
        record.c.partition == part.partition,
        record.c.offset >= part.start,
        record.c.offset < part.end,
        record.c.outcome.is_(None),
        record.c.part_path.is_(None),
    )
    return connection.execute(query.order_by(record.c.offset)).all()


def _end(
    connection: Connection, held: Held, lost: OffsetRange, rows: Sequence[AnyRow], cause: str
) -> None:
    ids = as_set(connection, [row.id for row in rows])
    if held.kind == "replay":
        # What it would have sent again was delivered, or given up, before: that stands.
        connection.execute(delete(current).where(current.c.record_id.in_(ids)))
        connection.execute(delete(record).where(record.c.id.in_(ids)))
        return
    gap_id = insert_gap(connection, Known(held.pipeline_id, held.generation), lost, cause)
    connection.execute(
        update(record)
        .where(record.c.id.in_(ids))
        .values(outcome="gap", gap_id=gap_id, name_key=None)
    )
