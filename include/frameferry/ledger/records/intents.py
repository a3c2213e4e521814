"""What is due, and the intents: a file is renamed only under one, and it names the part."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, func, select, update

from frameferry.domain.batch import Token
from frameferry.domain.columns import MET, SAID
from frameferry.domain.records import Consignment, Intent, Prediction, Refusal, StoredPrediction
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.bulk import among, as_pairs, as_set
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import record
from frameferry.ledger.guards.fence import check, fence
from frameferry.ledger.records.predictions import write_quarantine
from frameferry.ledger.records.quarantine import trip
from frameferry.ledger.records.renaming import name_the_nameless

_BY_POSITION = (record.c.partition, record.c.offset)
_SAID = (*MET, *SAID)


def consignments(connection: Connection, token: Token) -> list[Consignment]:
    """
    List the rows that still need an outcome, by partition and offset.

    A duplicate whose record was quarantined since becomes a consignment of its own.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    held = fence(connection, token)
    name_the_nameless(connection, held)
    query = (
        select(
            record.c.id,
            record.c.partition,
            record.c.offset,
            record.c.remote_path,
            record.c.size_bytes,
            record.c.sha256,
        )
        .where(record.c.batch_id == held.id, record.c.outcome.is_(None))
        .order_by(*_BY_POSITION)
    )
    return [Consignment(*row) for row in connection.execute(query)]


def stored_predictions(
    connection: Connection, token: Token, record_ids: Sequence[int]
) -> dict[int, StoredPrediction]:
    """
    Read what was said of records of the batch, by their ids.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    check(connection, token)
    columns = [record.c[each] for each in _SAID]
    query = select(record.c.id, record.c.remote_path, record.c.judge_digest, *columns).where(
        record.c.id.in_(as_set(connection, record_ids)), among(token.batch_id)
    )
    return {
        record_id: StoredPrediction(Prediction(**dict(zip(_SAID, said, strict=True))), path, digest)
        for record_id, path, digest, *said in connection.execute(query)
    }


def recorded_offsets(connection: Connection, token: Token) -> dict[int, list[int]]:
    """
    List every row's offset by partition, ascending: what the judge said exists.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    check(connection, token)
    found: defaultdict[int, list[int]] = defaultdict(list)
    query = select(*_BY_POSITION).where(record.c.batch_id == token.batch_id)
    for partition, offset in connection.execute(query.order_by(*_BY_POSITION)):
        found[partition].append(offset)
    return dict(found)


def misplaced(
    connection: Connection, batch_id: int, *, destination: str, base: str
) -> tuple[str, str] | None:
    """
    Find a row that is due on another server or below another base: (destination, full path).

    Where a file goes was frozen when it was judged.
    """
    query = select(record.c.destination, record.c.remote_path).where(
        record.c.batch_id == batch_id,
        record.c.outcome.is_(None),
        is_elsewhere(destination, base),
    )
    row = connection.execute(query.order_by(*_BY_POSITION).limit(1)).one_or_none()
    return None if row is None else (row.destination, row.remote_path)


def is_elsewhere(destination: str, base: str) -> ColumnElement[bool]:
    """Hold for a row whose file belongs on another server, or outside the base."""
    folder = f"{base.rstrip('/')}/"
    # Not LIKE, for which SQLite sees no difference between small letters and capitals.
    below = func.substr(record.c.remote_path, 1, len(folder)) == folder
    return (record.c.destination != destination) | ~below


def open_intents(connection: Connection, token: Token) -> list[Intent]:
    """
    List the parts of any attempt that may have been renamed: those without a receipt.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    check(connection, token)
    query = select(
        record.c.id,
        record.c.remote_path,
        record.c.part_path,
        record.c.size_bytes,
        record.c.sha256,
    ).where(
        record.c.batch_id == token.batch_id,
        record.c.outcome.is_(None),
        record.c.part_path.is_not(None),
    )
    return [Intent(*row) for row in connection.execute(query.order_by(*_BY_POSITION))]


def record_intents(connection: Connection, token: Token, parts: Sequence[tuple[int, str]]) -> None:
    """
    Write down which part will be renamed to which record's name, before it is.

    Args:
        connection: Its transaction.
        token: The attempt that holds the intents from now on.
        parts: (record id, full path of the part) each.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        LedgerConflict: A record is not due, or has an open intent that was not settled.
    """
    fence(connection, token)
    if not parts:
        return
    pair = as_pairs(connection, parts)
    done = connection.execute(
        update(record)
        .where(
            record.c.id == pair.c.id,
            among(token.batch_id),
            record.c.outcome.is_(None),
            record.c.part_path.is_(None),
        )
        .values(part_path=pair.c.value, intent_attempt=token.attempt, intended_at=from_now())
    )
    _demand(done.rowcount, len(parts), token, "an intent for a record that does not await one")


def withdraw_intents(connection: Connection, token: Token, record_ids: Sequence[int]) -> None:
    """
    Give up parts that were not renamed, and will not be.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    fence(connection, token)
    connection.execute(
        update(record)
        .where(
            record.c.id.in_(as_set(connection, record_ids)),
            among(token.batch_id),
            record.c.outcome.is_(None),
        )
        .values(part_path=None, intent_attempt=None, intended_at=None)
    )


def record_refusals(
    connection: Connection,
    token: Token,
    refusals: Sequence[Refusal],
    *,
    max_quarantine: int | None = None,
) -> None:
    """
    Quarantine records that the server refuses for good; open intents are withdrawn before.

    Args:
        connection: Its transaction.
        token: The attempt that delivers.
        refusals: The server's words, one per record.
        max_quarantine: As for `record_predictions`.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
    """
    held = fence(connection, token)
    ids = [refusal.record_id for refusal in refusals]
    refused = connection.execute(
        update(record)
        .where(
            record.c.id.in_(as_set(connection, ids)),
            among(token.batch_id),
            record.c.outcome.is_(None),
            record.c.part_path.is_(None),
        )
        .values(outcome="quarantined", name_key=None)
    ).rowcount
    _demand(refused, len(refusals), token, "a refusal of a record that is not due")
    if refusals:
        rows = [(refusal.record_id, refusal.reason, refusal.detail) for refusal in refusals]
        write_quarantine(connection, "deliver", rows)
        if max_quarantine is not None:
            trip(connection, held, max_quarantine)


def _demand(done: int, wanted: int, token: Token, what: str) -> None:
    if done != wanted:
        msg = f"{what}: {wanted - done} of {wanted}; nothing was written"
        raise LedgerConflict(msg, remedy="This should be reported", batch=token.batch_id)
