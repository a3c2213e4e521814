"""Batches and who works on them: attempts, leases, back-off."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, exists, select, update

from frameferry.domain.batch import Batch, CountsAs, Token, Trouble
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import BatchOwned, Fenced, LedgerConflict, LedgerOutdated, ReplayStopped
from frameferry.ledger.database.bulk import as_set
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import (
    batch,
    batch_range,
    ledger,
    pipeline,
    replay_base,
    stopped_replay,
)
from frameferry.ledger.database.text import storable
from frameferry.ledger.guards import company
from frameferry.ledger.guards.epochs import is_recovered, outdated
from frameferry.ledger.guards.fence import fence, owned_by, token_is_newest


def find_batch(connection: Connection, batch_id: int) -> Batch:
    """
    Read a batch, with the token of its newest attempt.

    Raises:
        LedgerConflict: There is none with this id.
    """
    row = connection.execute(_batches().where(batch.c.id == batch_id)).one_or_none()
    if row is None:
        msg = f"the ledger knows no batch {batch_id}"
        raise LedgerConflict(msg, remedy="Is FRAMEFERRY_LEDGER_URL the right ledger?")
    return _as_batch(row, ranges_of(connection, [batch_id])[batch_id])


def ranges_of(
    connection: Connection, batch_ids: Sequence[int]
) -> dict[int, tuple[OffsetRange, ...]]:
    """Read the frozen ranges of batches, each sorted by partition and start."""
    found: defaultdict[int, list[OffsetRange]] = defaultdict(list)
    query = select(
        batch_range.c.batch_id,
        batch_range.c.partition,
        batch_range.c.start_offset,
        batch_range.c.end_offset,
    ).order_by(batch_range.c.batch_id, batch_range.c.partition, batch_range.c.start_offset)
    wanted = batch_range.c.batch_id.in_(as_set(connection, batch_ids))
    for batch_id, *bounds in connection.execute(query.where(wanted)):
        found[batch_id].append(OffsetRange(*bounds))
    return {batch_id: tuple(found[batch_id]) for batch_id in batch_ids}


def claim(connection: Connection, batch_id: int, *, owner: str, lease_seconds: float) -> Batch:
    """
    Begin a new attempt: every older token is fenced from now on.

    The lease, by the database's clock, is a courtesy that keeps two runners from fencing each other
    for ever. An owner may claim again under its own lease, which fences its older attempt too.

    Raises:
        BatchOwned: Somebody else's lease is live; says whose and until when.
        Fenced: The batch was split.
        ReplayStopped: It is of a replay that a person stopped.
    """
    free = (
        batch.c.leased_until.is_(None)
        | (batch.c.leased_until <= from_now())
        | (batch.c.owner == owner)
    )
    claimed = connection.execute(
        update(batch)
        .where(
            batch.c.id == batch_id,
            batch.c.split_at.is_(None),
            is_recovered(),
            free,
            ~is_stopped(),
        )
        .values(attempt=batch.c.attempt + 1, owner=owner, leased_until=from_now(lease_seconds))
    )
    if not claimed.rowcount:
        raise _not_claimable(connection, batch_id)
    return find_batch(connection, batch_id)


def is_stopped() -> ColumnElement[bool]:
    """Hold for a batch of a replay that a person stopped."""
    return exists().where(stopped_replay.c.replay_id == batch.c.replay_id)


def renew(connection: Connection, token: Token, lease_seconds: float) -> None:
    """
    Prolong the lease to *lease_seconds* from now.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    fence(connection, token, leased_until=from_now(lease_seconds))
    company.renew(connection, token, lease_seconds)


def release(connection: Connection, token: Token) -> None:
    """End the lease if it is still the token's."""
    connection.execute(
        update(batch).where(token_is_newest(token)).values(owner=None, leased_until=None)
    )


def record_failure(
    connection: Connection, token: Token, *, error: str, retry_after_seconds: float
) -> None:
    """
    Remember why an attempt failed, and when to try again, by the database's clock.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    fence(connection, token, last_error=storable(error), retry_at=from_now(retry_after_seconds))


def count_failure(
    connection: Connection, token: Token, counts_as: CountsAs, *, error: str, times: int = 1
) -> None:
    """
    Count a failed judging against the batch, for as many failures as it stands for.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    counted: dict[str, Any] = {
        "failure": {"failures": batch.c.failures + times},
        "proof": {"proofs": batch.c.proofs + times},
        "company": {"is_suspect": True},
    }
    said = storable(error)
    fence(connection, token, last_error=said, last_failure=said, **counted[counts_as])


def _batches() -> Select[Any]:
    return select(
        batch,
        pipeline.c.name.label("pipeline_name"),
        select(ledger.c.epoch).scalar_subquery().label("epoch"),
        select(replay_base.c.base)
        .where(replay_base.c.replay_id == batch.c.replay_id)
        .scalar_subquery()
        .label("into"),
    ).join(pipeline, pipeline.c.id == batch.c.pipeline_id)


def _as_batch(row: AnyRow, ranges: tuple[OffsetRange, ...]) -> Batch:
    return Batch(
        id=row.id,
        pipeline=row.pipeline_name,
        generation=row.generation,
        kind=row.kind,
        parent_id=row.parent_id,
        ranges=ranges,
        token=Token(row.epoch, row.id, row.attempt),
        sentence=row.sentence,
        config_digest=row.config_digest,
        judge_digest=row.judge_digest,
        inferred_at=row.inferred_at,
        delivered_at=row.delivered_at,
        committed_at=row.committed_at,
        split_at=row.split_at,
        trouble=Trouble(
            row.failures, row.charges, row.proofs, row.is_suspect, last_failure=row.last_failure
        ),
        into=row.into,
    )


def _not_claimable(
    connection: Connection, batch_id: int
) -> BatchOwned | Fenced | LedgerOutdated | ReplayStopped:
    found = find_batch(connection, batch_id)
    if connection.scalar(select(~is_recovered()).where(batch.c.id == batch_id)):
        return outdated(found.pipeline, batch=batch_id)
    if found.split_at is not None:
        msg = "the batch was split: its children carry its ranges"
        return Fenced(msg, batch=batch_id)
    if (stopped := _stopped(connection, found)) is not None:
        return stopped
    query = select(batch.c.owner, batch.c.leased_until).where(batch.c.id == batch_id)
    owner, until = connection.execute(query).one()
    msg = f"another attempt is at work{owned_by(owner, until)}"
    return BatchOwned(msg, remedy="Try later", batch=batch_id)


def _stopped(connection: Connection, found: Batch) -> ReplayStopped | None:
    query = (
        select(stopped_replay.c.replay_id, stopped_replay.c.who)
        .join(batch, batch.c.replay_id == stopped_replay.c.replay_id)
        .where(batch.c.id == found.id)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    msg = f"{row.who} stopped replay {row.replay_id}, which the batch is of"
    remedy = f"To go on: frameferry replays resume {found.pipeline} {row.replay_id}"
    return ReplayStopped(msg, remedy=remedy, pipeline=found.pipeline, batch=found.id)
