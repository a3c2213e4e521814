"""Receipts: facts about verified files. They move `current`, and the name, in one transaction."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    func,
    select,
    true,
    update,
)

from frameferry.domain.batch import Token
from frameferry.domain.records import Receipt
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.bulk import among, as_id_pairs, as_pairs, as_set
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, current, quarantine, record
from frameferry.ledger.guards.fence import epoch_is, fenced
from frameferry.ledger.progress.tallies import drop_tallies
from frameferry.ledger.records.copies import may_stand
from frameferry.ledger.records.names import name_key


def record_receipts(connection: Connection, token: Token, receipts: Sequence[Receipt]) -> None:
    """
    Write down what was verified under its final name; may be repeated.

    A receipt is a fact: it is accepted from the attempt that holds the intent even if a
    newer one fences it. Each moves `current`, and the name, in this transaction.

    Raises:
        Fenced: A newer attempt settled the intents otherwise, or the epoch is another.
        LedgerConflict: A record has no open intent.
    """
    is_newest = _lock(connection, token)
    allowed = true() if is_newest else record.c.intent_attempt == token.attempt
    by_how: defaultdict[str, list[int]] = defaultdict(list)
    for receipt in receipts:
        by_how[receipt.how].append(receipt.record_id)
    written = sum(_write(connection, token, how, ids, allowed) for how, ids in by_how.items())
    ids = [receipt.record_id for receipt in receipts]
    if written != len(ids):
        _refuse_unwritten(connection, token, ids, is_newest=is_newest)
    pass_on(connection, token.batch_id, ids)


def _lock(connection: Connection, token: Token) -> bool:
    """Lock the batch, whatever its newest attempt; say whether that is still the token's."""
    row = connection.execute(
        update(batch)
        .where(batch.c.id == token.batch_id, epoch_is(token.epoch))
        .values(attempt=batch.c.attempt)
        .returning(batch.c.attempt, batch.c.split_at)
    ).one_or_none()
    if row is None:
        raise fenced(token, f"the ledger has left epoch {token.epoch[:8]}, or knows no such batch")
    return bool(row.attempt == token.attempt and row.split_at is None)


def _write(
    connection: Connection,
    token: Token,
    how: str,
    ids: Sequence[int],
    allowed: ColumnElement[bool],
) -> int:
    done = connection.execute(
        update(record)
        .where(
            record.c.id.in_(as_set(connection, ids)),
            among(token.batch_id),
            record.c.outcome.is_(None),
            record.c.part_path.is_not(None),
            allowed,
        )
        .values(outcome="delivered", receipt_how=how, delivered_at=from_now())
    )
    return done.rowcount


def _refuse_unwritten(
    connection: Connection, token: Token, ids: Sequence[int], *, is_newest: bool
) -> None:
    """Refuse the rest, unless all have their receipt already: a settling attempt was faster."""
    query = select(func.count()).where(
        record.c.id.in_(as_set(connection, ids)),
        among(token.batch_id),
        record.c.outcome == "delivered",
    )
    known = connection.execute(query).scalar_one()
    if known == len(set(ids)):
        return
    if not is_newest:
        raise fenced(token, "a newer attempt took its intents over")
    msg = (
        f"{len(set(ids)) - known} receipts for records without an open intent; nothing was written"
    )
    raise LedgerConflict(msg, remedy="This should be reported", batch=token.batch_id)


def pass_on(connection: Connection, batch_id: int, ids: Sequence[int]) -> None:
    """
    Let delivered rows stand for their offsets instead of older rows.

    Their names pass on with it, and what quarantined the older rows is resolved. Rows of a live
    batch stand from the beginning, so that nothing moves for them. A copy leaves all as it is.
    """
    rows = connection.execute(_standing_instead(connection, batch_id, ids)).all()
    if rows:
        _take_names(connection, rows)
        move_current(connection, batch_id, rows)


def _standing_instead(
    connection: Connection, batch_id: int, ids: Sequence[int]
) -> Select[*tuple[Any, ...]]:
    older = record.alias("older")
    return (
        select(
            record.c.id,
            record.c.remote_path,
            record.c.destination,
            record.c.name_key,
            older.c.id.label("older_id"),
            older.c.destination.label("older_destination"),
            older.c.name_key.label("older_key"),
        )
        .join(current, same_position())
        .join(older, older.c.id == current.c.record_id)
        .where(
            record.c.id.in_(as_set(connection, ids)),
            among(batch_id),
            may_stand(batch_id),
            current.c.record_id != record.c.id,
        )
    )


def same_position() -> ColumnElement[bool]:
    """Join `current` with the records of its offset."""
    return and_(
        current.c.pipeline_id == record.c.pipeline_id,
        current.c.generation == record.c.generation,
        current.c.partition == record.c.partition,
        current.c.offset == record.c.offset,
    )


def _take_names(connection: Connection, rows: Sequence[AnyRow]) -> None:
    taking = [
        (row, key)
        for row in rows
        if row.name_key is None
        and row.older_key == (key := name_key(row.remote_path))
        and row.older_destination == row.destination
    ]
    if not taking:
        return
    older = [row.older_id for row, _ in taking]
    newer = as_pairs(connection, [(row.id, key) for row, key in taking])
    names = update(record)
    connection.execute(
        names.where(record.c.id.in_(as_set(connection, older))).values(name_key=None)
    )
    connection.execute(names.where(record.c.id == newer.c.id).values(name_key=newer.c.value))


def move_current(connection: Connection, batch_id: int, rows: Sequence[AnyRow]) -> None:
    """Let rows with `id` stand instead of those with `older_id`."""
    drop_tallies(connection, [row.older_id for row in rows])
    pair = as_id_pairs(connection, [(row.older_id, row.id) for row in rows])
    connection.execute(
        update(current).where(current.c.record_id == pair.c.id).values(record_id=pair.c.value)
    )
    older = as_set(connection, [row.older_id for row in rows])
    connection.execute(
        update(quarantine)
        .where(quarantine.c.record_id.in_(older), quarantine.c.resolved_at.is_(None))
        .values(resolved_at=from_now(), resolved_how="replayed", resolved_by=f"batch {batch_id}")
    )
