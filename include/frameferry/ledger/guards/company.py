"""Judge jobs on shared Spark servers: who had company, who must be alone."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, delete, insert, select, update

from frameferry.domain.batch import Token
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import judging, ledger
from frameferry.ledger.guards.fence import fence


def begin_judging(
    connection: Connection, token: Token, *, server: str, is_alone: bool, lease_seconds: float
) -> bool:
    """
    Enter a judge job on a Spark server that others may share, if it may begin now.

    While a job is alone, or waits to be, no other begins. The entry is renewed with the batch's
    lease, and is removed by `end_judging` or when the lease runs out.

    Returns:
        False if it may not; a job that wants to be alone then waits in line. Ask again.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    fence(connection, token)
    # All who begin on any server pass here one by one.
    connection.execute(select(ledger.c.id).with_for_update())
    connection.execute(
        delete(judging).where(
            (judging.c.until <= from_now()) | (judging.c.batch_id == token.batch_id)
        )
    )
    others = connection.execute(select(judging).where(judging.c.server == server)).all()
    may_begin = _may_begin(others, token, is_alone=is_alone)
    company = [row.batch_id for row in others if row.has_begun] if may_begin else []
    if may_begin or is_alone:
        connection.execute(
            insert(judging).values(
                batch_id=token.batch_id,
                attempt=token.attempt,
                server=server,
                is_alone=is_alone,
                has_begun=may_begin,
                had_company=bool(company),
                until=from_now(lease_seconds),
            )
        )
    if company:
        connection.execute(
            update(judging).where(judging.c.batch_id.in_(company)).values(had_company=True)
        )
    return may_begin


def end_judging(connection: Connection, token: Token) -> bool:
    """Take the judge job off, and say whether another shared its server at any time."""
    mine = (judging.c.batch_id == token.batch_id) & (judging.c.attempt == token.attempt)
    removed = delete(judging).where(mine).returning(judging.c.had_company)
    had_company = connection.scalar(removed)
    # A job whose lease ran out may have had any company: nobody was told to note it.
    return True if had_company is None else bool(had_company)


def renew(connection: Connection, token: Token, lease_seconds: float) -> None:
    """Prolong a judge job's entry with its batch's lease."""
    mine = (judging.c.batch_id == token.batch_id) & (judging.c.attempt == token.attempt)
    connection.execute(update(judging).where(mine).values(until=from_now(lease_seconds)))


def _may_begin(others: Sequence[AnyRow], token: Token, *, is_alone: bool) -> bool:
    """
    Say whether a job may begin: never beside one that is, or waits to be, alone.

    Of several that wait to be alone, the first planned goes first.
    """
    if not is_alone:
        return not any(row.is_alone for row in others)
    return not any(row.has_begun or row.batch_id < token.batch_id for row in others)
