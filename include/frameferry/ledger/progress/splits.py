"""End a batch in favour of its pieces: halves that go on, and offsets that are lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch
from frameferry.ledger.database.text import storable
from frameferry.ledger.guards.claims import ranges_of
from frameferry.ledger.guards.fence import fence
from frameferry.ledger.progress.gaps import insert_gap
from frameferry.ledger.progress.pipelines import PipelineKey
from frameferry.ledger.progress.plans import insert_batch, insert_ranges

Pieces = Sequence[Sequence[OffsetRange]]


def split_batch(
    connection: Connection,
    token: Token,
    *,
    pieces: Pieces,
    lost: Sequence[tuple[OffsetRange, str]] = (),
    is_charged: bool,
    why: str,
) -> tuple[int, ...]:
    """
    End a batch without predictions in favour of its pieces, in one transaction.

    Args:
        connection: Its transaction.
        token: The attempt that judges; it is fenced afterwards, like all others.
        pieces: The ranges of each batch that goes on.
        lost: Ranges that Kafka no longer holds, each with its cause: they become gaps.
            Together with the pieces they tile the batch.
        is_charged: Whether a control passed: then one failure splits a piece again.
        why: Said in the pieces' sentences.

    Returns:
        The ids of the new batches, in order of the pieces.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        LedgerConflict: The batch is judged already, or the pieces do not tile it.
    """
    held = fence(
        connection,
        token,
        only_if=batch.c.inferred_at.is_(None) & batch.c.delivered_at.is_(None),
        otherwise="only a batch without predictions can be split",
        split_at=from_now(),
        charges=batch.c.charges + int(is_charged),
        last_error=storable(why),
        retry_at=None,
        owner=None,
        leased_until=None,
    )
    _refuse_holes(connection, token, pieces, lost)
    row = connection.execute(select(batch).where(batch.c.id == held.id)).one()
    key = PipelineKey(held.pipeline_id, held.generation)
    if held.kind == "live":
        for span, cause in lost:
            insert_gap(connection, key, span, cause)
    return tuple(add_piece(connection, key, row, piece, why) for piece in pieces if piece)


def leaves(connection: Connection, batch_id: int) -> tuple[int, ...]:
    """List the leaves that now carry a batch's ranges, oldest first: itself or pieces of pieces."""
    columns = (batch.c.id, batch.c.split_at)
    family = select(*columns).where(batch.c.id == batch_id).cte(recursive=True)
    pieces = select(*columns).join(family, batch.c.parent_id == family.c.id)
    family = family.union_all(pieces)
    query = select(family.c.id).where(family.c.split_at.is_(None)).order_by(family.c.id)
    return tuple(connection.scalars(query))


def add_piece(
    connection: Connection,
    key: PipelineKey,
    parent: AnyRow,
    ranges: Sequence[OffsetRange],
    why: str,
    **columns: Any,  # noqa: ANN401 - columns of batch
) -> int:
    """Insert a piece of a batch, not judged unless *columns* say so; return its id."""
    child_id = insert_batch(
        connection,
        key,
        kind=parent.kind,
        replay_id=parent.replay_id,
        parent_id=parent.id,
        root_id=parent.root_id or parent.id,
        sentence=f"part of batch {parent.id}, which was split: {why}",
        config_digest=parent.config_digest,
        charges=parent.charges,
        # If its parent was judged alone, so is it: its failure then counts at once.
        is_suspect=parent.is_suspect,
        **columns,
    )
    insert_ranges(connection, key, child_id, ranges, is_live_root=False)
    return child_id


def _refuse_holes(
    connection: Connection,
    token: Token,
    pieces: Pieces,
    lost: Sequence[tuple[OffsetRange, str]],
) -> None:
    """Refuse pieces that leave out an offset, or hold one twice."""
    parts = sorted([*(span for piece in pieces for span in piece), *(span for span, _ in lost)])
    if _joined(parts) == _joined(ranges_of(connection, [token.batch_id])[token.batch_id]):
        return
    msg = "the pieces of a split do not tile their batch"
    raise LedgerConflict(msg, remedy="This should be reported", batch=token.batch_id)


def _joined(ranges: Sequence[OffsetRange]) -> list[OffsetRange]:
    """Join ranges that follow each other; overlaps stay, and so differ from any batch's ranges."""
    joined: list[OffsetRange] = []
    for span in ranges:
        last = joined[-1] if joined else None
        if last and last.partition == span.partition and last.end == span.start:
            joined[-1] = OffsetRange(span.partition, last.start, span.end)
        else:
            joined.append(span)
    return joined
