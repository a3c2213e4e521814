"""Images that Kafka lost between their judging and their delivery: their rows end in a gap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, delete, select, update

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.bulk import as_set
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, current, record
from frameferry.ledger.guards.fence import Held, fence
from frameferry.ledger.progress.gaps import insert_gap
from frameferry.ledger.progress.pipelines import PipelineKey


def record_losses(
    connection: Connection, token: Token, lost: Sequence[tuple[OffsetRange, str]]
) -> int:
    """
    End in gaps the rows whose bytes Kafka lost before delivery; return how many.

    A gap holds back the committed offset until a person accepts it. Rows of a replay are
    dropped: what they would have sent again stands as it is.

    Args:
        connection: Its transaction.
        token: The attempt that delivers; it has settled all intents.
        lost: Offsets of the batch that Kafka no longer holds, each with its cause.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    held = fence(
        connection,
        token,
        only_if=batch.c.inferred_at.is_not(None) & batch.c.delivered_at.is_(None),
        otherwise="only a batch that is judged and not delivered can lose images",
    )
    count = 0
    for span, cause in lost:
        for hole, rows in _holes(_rows(connection, held, span), span):
            _end(connection, held, hole, rows, cause)
            count += len(rows)
    return count


def _rows(connection: Connection, held: Held, span: OffsetRange) -> Sequence[AnyRow]:
    is_undone = record.c.outcome.is_(None) & record.c.part_path.is_(None)
    query = select(record.c.id, record.c.offset, is_undone.label("is_undone")).where(
        record.c.batch_id == held.id,
        record.c.partition == span.partition,
        record.c.offset >= span.start,
        record.c.offset < span.end,
    )
    return connection.execute(query.order_by(record.c.offset)).all()


def _holes(rows: Sequence[AnyRow], span: OffsetRange) -> Iterator[tuple[OffsetRange, list[AnyRow]]]:
    """Find what is lost between rows that have their answer: no offset may have two."""
    undone: list[AnyRow] = []
    for row in rows:
        if row.is_undone:
            undone.append(row)
        elif undone:
            yield OffsetRange(span.partition, undone[0].offset, row.offset), undone
            undone = []
    if undone:
        yield OffsetRange(span.partition, undone[0].offset, span.end), undone


def _end(
    connection: Connection, held: Held, lost: OffsetRange, rows: Sequence[AnyRow], cause: str
) -> None:
    ids = as_set(connection, [row.id for row in rows])
    if held.kind == "replay":
        # What it would have sent again was delivered, or given up, before: that stands.
        connection.execute(delete(current).where(current.c.record_id.in_(ids)))
        connection.execute(delete(record).where(record.c.id.in_(ids)))
        return
    gap_id = insert_gap(connection, PipelineKey(held.pipeline_id, held.generation), lost, cause)
    connection.execute(
        update(record)
        .where(record.c.id.in_(ids))
        .values(outcome="gap", gap_id=gap_id, name_key=None)
    )
