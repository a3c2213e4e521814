"""The fence: one statement at the head of every write of a batch's attempt."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, select, true, update

from frameferry.domain.batch import Token
from frameferry.errors import Fenced, LedgerConflict
from frameferry.ledger.database.tables import batch, ledger


class Held(NamedTuple):
    """The batch behind a token that passed."""

    id: int
    pipeline_id: int
    generation: int
    kind: str
    attempt: int


_HELD = (batch.c.id, batch.c.pipeline_id, batch.c.generation, batch.c.kind, batch.c.attempt)


def epoch_is(epoch: str) -> ColumnElement[bool]:
    """Hold while the ledger is the one that gave the token: a restore begins a new epoch."""
    return select(ledger.c.epoch).scalar_subquery() == epoch


def token_is_newest(token: Token) -> ColumnElement[bool]:
    """Hold while no newer attempt, no split and no restore overtook the token."""
    return (
        (batch.c.id == token.batch_id)
        & epoch_is(token.epoch)
        & (batch.c.attempt == token.attempt)
        & batch.c.split_at.is_(None)
    )


def fence(
    connection: Connection,
    token: Token,
    *,
    only_if: ColumnElement[bool] | None = None,
    otherwise: str = "",
    **values: Any,  # noqa: ANN401 - columns of batch
) -> Held:
    """
    Pass the token's attempt and lock its batch until the transaction ends, in one statement.

    Looking first and writing afterwards would let a new attempt in between.

    Args:
        connection: A writing transaction; this must be its first statement.
        token: Whose write it is.
        only_if: A further condition on the batch; if only it fails, *otherwise* is said.
        otherwise: Why the batch refuses.
        **values: Columns of the batch to set on the way.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch; says who.
        LedgerConflict: *only_if* does not hold.
    """
    statement = (
        update(batch)
        .where(token_is_newest(token), true() if only_if is None else only_if)
        .values(values or {"attempt": token.attempt})
        .returning(*_HELD)
    )
    row = connection.execute(statement).one_or_none()
    if row is None:
        raise _refusal(connection, token, otherwise)
    return Held(*row)


def check(connection: Connection, token: Token) -> Held:
    """
    Let only the newest attempt read on: a courtesy that saves a zombie work, not a guarantee.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    row = connection.execute(select(*_HELD).where(token_is_newest(token))).one_or_none()
    if row is None:
        raise _refusal(connection, token, "")
    return Held(*row)


def fenced(token: Token, why: str) -> Fenced:
    """Make the refusal of a stale token."""
    msg = f"attempt {token.attempt} was overtaken: {why}"
    return Fenced(msg, remedy="Its owner, or the next try, goes on", batch=token.batch_id)


def _refusal(connection: Connection, token: Token, otherwise: str) -> Fenced | LedgerConflict:
    columns = (batch.c.attempt, batch.c.owner, batch.c.leased_until, batch.c.split_at)
    row = connection.execute(select(*columns).where(batch.c.id == token.batch_id)).one_or_none()
    epoch = connection.scalar(select(ledger.c.epoch))
    if row is None or epoch != token.epoch:
        return fenced(token, f"the ledger is in epoch {str(epoch)[:8]}, not {token.epoch[:8]}")
    if row.split_at is not None:
        return fenced(token, "the batch was split")
    if row.attempt != token.attempt:
        return fenced(token, f"attempt {row.attempt} has it{owned_by(row.owner, row.leased_until)}")
    return LedgerConflict(otherwise, batch=token.batch_id)


def owned_by(owner: str | None, until: datetime | None) -> str:
    """Say whose lease it is and until when, as the end of a sentence."""
    if owner is None or until is None:
        return ""
    return f", owned by {owner} until {until:%Y-%m-%d %H:%M:%S} UTC"
