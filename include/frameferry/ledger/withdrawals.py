"""Take the judge's rows back where they were wrong, and judge again."""

from __future__ import annotations

from sqlalchemy import Connection, Select, delete, select, update

from frameferry.domain.batch import Token
from frameferry.ledger.fence import check, fence
from frameferry.ledger.tables import batch, current, quarantine, record
from frameferry.ledger.text import storable


def withdraw_predictions(connection: Connection, token: Token, *, error: str) -> None:
    """Delete what nothing hangs on yet; see `Ledger.withdraw_predictions`."""
    _withdraw(
        connection,
        token,
        failures=batch.c.failures + 1,
        proofs=batch.c.proofs + 1,
        last_error=storable(error),
        last_failure=storable(error),
    )


def withdraw_untouched(connection: Connection, token: Token) -> bool:
    """Delete all rows where no file of theirs can be anywhere; see `Ledger.withdraw_untouched`."""
    check(connection, token)
    touched = select(record.c.id).where(
        record.c.batch_id == token.batch_id,
        (record.c.outcome == "delivered") | record.c.part_path.is_not(None),
    )
    if connection.execute(touched.limit(1)).one_or_none() is not None:
        return False
    _withdraw(connection, token)
    return True


def _withdraw(connection: Connection, token: Token, **written: object) -> None:
    fence(
        connection,
        token,
        only_if=batch.c.inferred_at.is_not(None) & batch.c.delivered_at.is_(None),
        otherwise="only predictions of a batch that is judged and not delivered can be withdrawn",
        inferred_at=None,
        judge_digest=None,
        infer_seconds=None,
        record_count=None,
        byte_count=None,
        **written,
    )
    _free_duplicates(connection, token.batch_id)
    doomed = _doomed(token.batch_id)
    connection.execute(delete(quarantine).where(quarantine.c.record_id.in_(doomed)))
    connection.execute(delete(current).where(current.c.record_id.in_(doomed)))
    connection.execute(delete(record).where(record.c.id.in_(doomed)))


def _doomed(batch_id: int) -> Select[tuple[int]]:
    """Pick the rows without receipt and without an intent that is still open."""
    return select(record.c.id).where(
        record.c.batch_id == batch_id,
        record.c.outcome.is_distinct_from("delivered"),
        record.c.part_path.is_(None),
    )


def _free_duplicates(connection: Connection, batch_id: int) -> None:
    """Let duplicates of doomed rows be rows of their own; they get a name before delivery."""
    doomed = _doomed(batch_id).subquery()
    connection.execute(
        update(record)
        .where(record.c.duplicate_of.in_(select(doomed.c.id)))
        .values(outcome=None, duplicate_of=None)
    )
