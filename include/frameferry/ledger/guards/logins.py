"""One log-in attempt at a time, and none after a refusal, over all processes."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, select, update

from frameferry.errors import FtpUnavailable, PipelineBlocked
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import upsert
from frameferry.ledger.database.tables import login
from frameferry.ledger.database.text import storable


def begin_login(connection: Connection, digest: str, *, owner: str, lease_seconds: float) -> bool:
    """
    Take the turn to log in, if it is free.

    Returns:
        False if another attempt is under way.

    Raises:
        PipelineBlocked: The server refused this user and password before.
    """
    connection.execute(
        upsert(connection, login).values(digest=digest, state="free").on_conflict_do_nothing()
    )
    taken = connection.execute(
        update(login)
        .where(
            login.c.digest == digest,
            (login.c.state == "free")
            | ((login.c.state == "trying") & (login.c.until <= from_now())),
        )
        .values(state="trying", owner=owner, until=from_now(lease_seconds), reason=None)
    )
    if taken.rowcount:
        return True
    if (reason := login_refusal(connection, digest)) is not None:
        msg = f"the server refused this user and password before: {reason}"
        remedy = "Put the connection right; with the same password, unblock the pipeline"
        raise PipelineBlocked(msg, remedy=remedy)
    return False


def turn_taken(connection: Connection, digest: str) -> FtpUnavailable:
    """Say who is trying to log in."""
    query = select(login.c.owner).where(login.c.digest == digest)
    msg = f"another log-in is being tried, by {connection.scalar(query) or 'somebody'}"
    return FtpUnavailable(msg, remedy="Only one is tried at a time; the next try follows it")


def renew_login(connection: Connection, digest: str, *, owner: str, lease_seconds: float) -> None:
    """Prolong the owner's turn; do nothing if it is over, or another's."""
    connection.execute(
        update(login).where(_is_turn_of(digest, owner)).values(until=from_now(lease_seconds))
    )


def end_login(connection: Connection, digest: str, *, owner: str, refused: str | None) -> None:
    """
    End the owner's turn; a turn that another has begun meanwhile goes on.

    *refused* is the server's refusal: it keeps everybody out from now on, whoever's turn it is.
    """
    values: dict[str, str | None]
    if refused is not None:
        # It is a fact, whoever's turn it is by now.
        values = {"state": "refused", "reason": storable(refused) or "refused"}
        condition = login.c.digest == digest
    else:
        values = {"state": "free", "reason": None}
        condition = _is_turn_of(digest, owner)
    connection.execute(update(login).where(condition).values(owner=None, until=None, **values))


def _is_turn_of(digest: str, owner: str) -> ColumnElement[bool]:
    return (login.c.digest == digest) & (login.c.state == "trying") & (login.c.owner == owner)


def forget_refusal(connection: Connection, digest: str) -> None:
    """Allow another log-in after a refusal, on a person's word."""
    connection.execute(
        update(login)
        .where(login.c.digest == digest, login.c.state == "refused")
        .values(state="free", reason=None)
    )


def login_refusal(connection: Connection, digest: str) -> str | None:
    """Read why the server refused a connection; None if it did not."""
    query = select(login.c.reason).where(login.c.digest == digest, login.c.state == "refused")
    return connection.scalar(query)


def note_alone(connection: Connection, digest: str) -> None:
    """Note that a connection's data addresses must be asked for alone; may be repeated."""
    connection.execute(
        upsert(connection, login).values(digest=digest, state="free").on_conflict_do_nothing()
    )
    connection.execute(update(login).where(login.c.digest == digest).values(asks_alone=True))


def asks_alone(connection: Connection, digest: str) -> bool:
    """Say whether a connection's data addresses must be asked for alone."""
    query = select(login.c.digest).where(login.c.asks_alone, login.c.digest == digest)
    return connection.scalar(query) is not None


def asked_alone(connection: Connection) -> frozenset[str]:
    """Name all connections whose data addresses must be asked for alone."""
    return frozenset(connection.scalars(select(login.c.digest).where(login.c.asks_alone)))
