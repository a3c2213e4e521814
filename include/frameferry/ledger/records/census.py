"""The census: deliver's own count of what it met ends the batch, if everything has an outcome."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, func, select, update

from frameferry.domain.batch import Token
from frameferry.domain.records import Census
from frameferry.errors import BatchUnfinished, PredictionsIncomplete
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import batch, batch_range, current, record
from frameferry.ledger.guards.claims import ranges_of
from frameferry.ledger.guards.fence import fence
from frameferry.ledger.records.copies import may_stand
from frameferry.ledger.records.receipts import move_current, same_position


def record_census(
    connection: Connection, token: Token, census: Sequence[Census], *, seconds: float
) -> None:
    """
    Finish the batch if deliver met what was judged, and each record has its outcome.

    Args:
        connection: Its transaction.
        token: The attempt that delivered.
        census: One per range, each read to its end.
        seconds: How long delivery took.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        PredictionsIncomplete: The rows are not the records that were met.
        BatchUnfinished: A range is missing or was not read to its end, or a record has no
            outcome (a duplicate's record must be delivered itself).
    """
    held = fence(
        connection,
        token,
        only_if=batch.c.inferred_at.is_not(None) & batch.c.delivered_at.is_(None),
        otherwise="the batch is not judged yet, or delivered already",
        delivered_at=from_now(),
        deliver_seconds=seconds,
        last_error=None,
        retry_at=None,
    )
    _refuse_partial(connection, token, census)
    _refuse_mismatch(connection, token, census)
    _refuse_pending(connection, token)
    _write(connection, token, census)
    if held.kind == "replay":
        _renew_quarantines(connection, token.batch_id)


def offsets_digest(offsets: Iterable[int]) -> str:
    """Digest ascending offsets as a census does: decimal text, a newline after each."""
    return hashlib.sha256("".join(f"{offset}\n" for offset in offsets).encode()).hexdigest()


def _refuse_partial(connection: Connection, token: Token, census: Sequence[Census]) -> None:
    wanted = {
        (span.partition, span.start, span.end)
        for span in ranges_of(connection, [token.batch_id])[token.batch_id]
    }
    read = sorted((span.partition, span.start, span.end) for span in census)
    if read != sorted(wanted):
        msg = "the census is not one of the batch's ranges, each once"
        raise BatchUnfinished(msg, batch=token.batch_id)
    for span in census:
        if span.seen_to < span.end:
            msg = f"the read stopped at {span.seen_to}, before the range's end {span.end}"
            raise BatchUnfinished(msg, batch=token.batch_id, partition=span.partition)


def _refuse_mismatch(connection: Connection, token: Token, census: Sequence[Census]) -> None:
    query = (
        select(record.c.partition, record.c.offset)
        .where(record.c.batch_id == token.batch_id, record.c.outcome.is_distinct_from("gap"))
        .order_by(record.c.partition, record.c.offset)
    )
    offsets: defaultdict[int, list[int]] = defaultdict(list)
    for partition, offset in connection.execute(query):
        offsets[partition].append(offset)
    for span in census:
        all_mine = offsets[span.partition]
        begin = span.start if span.seen_from is None else span.seen_from
        end = span.end if span.held_to is None else span.held_to
        mine = all_mine[bisect_left(all_mine, begin) : bisect_left(all_mine, end)]
        if (len(mine), offsets_digest(mine)) != (span.count, span.digest):
            msg = f"the judge's {len(mine)} rows are not the {span.count} records that Kafka holds"
            raise PredictionsIncomplete(msg, batch=token.batch_id, partition=span.partition)


def _refuse_pending(connection: Connection, token: Token) -> None:
    holder = record.alias("holder")
    query = (
        select(func.count(), func.min(record.c.offset))
        .outerjoin(holder, holder.c.id == record.c.duplicate_of)
        .where(
            record.c.batch_id == token.batch_id,
            record.c.outcome.is_(None)
            | ((record.c.outcome == "duplicate") & holder.c.outcome.is_distinct_from("delivered")),
        )
    )
    pending, first = connection.execute(query).one()
    if pending:
        msg = (
            f"{pending} records have neither receipt, duplicate, quarantine nor gap, "
            f"from offset {first} on"
        )
        raise BatchUnfinished(msg, remedy="The next try goes on with them", batch=token.batch_id)


def _write(connection: Connection, token: Token, census: Sequence[Census]) -> None:
    connection.execute(
        update(batch_range)
        .where(
            batch_range.c.batch_id == token.batch_id,
            batch_range.c.partition == bindparam("of_partition"),
            batch_range.c.start_offset == bindparam("from_offset"),
        )
        .values(
            seen_to=bindparam("to"),
            seen_from=bindparam("begin"),
            record_count=bindparam("count"),
            offsets_digest=bindparam("digest"),
        ),
        [
            {
                "of_partition": span.partition,
                "from_offset": span.start,
                "to": span.seen_to,
                "begin": span.seen_from,
                "count": span.count,
                "digest": span.digest,
            }
            for span in census
        ],
    )


def _renew_quarantines(connection: Connection, batch_id: int) -> None:
    """
    Let a replay's rows without a file stand instead of quarantined ones.

    A row that was delivered goes on standing: its file is there, whatever a replay says now. So
    does any, where the replay puts copies into another base.
    """
    older = record.alias("older")
    query = (
        select(record.c.id, older.c.id.label("older_id"))
        .join(current, same_position())
        .join(older, older.c.id == current.c.record_id)
        .where(
            record.c.batch_id == batch_id,
            may_stand(batch_id),
            record.c.outcome.in_(["quarantined", "duplicate"]),
            older.c.outcome == "quarantined",
            current.c.record_id != record.c.id,
        )
    )
    if rows := connection.execute(query).all():
        move_current(connection, batch_id, rows)
