"""Take back the judge's rows that were wrong, and judge again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    delete,
    false,
    func,
    select,
    tuple_,
    update,
)

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, current, quarantine, record
from frameferry.ledger.database.text import storable
from frameferry.ledger.guards.claims import ranges_of
from frameferry.ledger.guards.fence import Held, check, fence
from frameferry.ledger.progress.pipelines import PipelineKey
from frameferry.ledger.progress.splits import add_piece
from frameferry.ledger.records.intents import is_elsewhere
from frameferry.ledger.records.tiling import tile


@dataclass(frozen=True, slots=True)
class _Rest:
    """
    What is judged again of a batch: all rows that were not compared, and on which nothing hangs.

    `compared` is a partition and an offset: the rows before it stand. `place` is the server and the
    base that are delivered to now; on a person's word, an intent at another place is given up.
    """

    compared: tuple[int, int] | None = None
    place: tuple[str, str] | None = None

    def touched(self) -> ColumnElement[bool]:
        """Hold if something hangs on the row: a file, a possible file, or a gap."""
        is_there = func.coalesce(record.c.outcome, "").in_(["delivered", "gap"])
        is_intended = record.c.outcome.is_(None) & record.c.part_path.is_not(None)
        if self.place is not None:
            is_intended &= ~is_elsewhere(*self.place)
        return is_there | is_intended

    def stands(self) -> ColumnElement[bool]:
        """Hold for a row that is not judged again."""
        place = tuple_(record.c.partition, record.c.offset)
        return self.touched() | (false() if self.compared is None else place < self.compared)


_CAN_BE = batch.c.inferred_at.is_not(None) & batch.c.delivered_at.is_(None)
_OTHERWISE = "only predictions of a batch that is judged and not delivered can be withdrawn"
_UNJUDGED = dict.fromkeys(
    (
        *("inferred_at", "judge_digest", "infer_seconds", "loading_seconds"),
        *("record_count", "byte_count"),
    )
)


def withdraw_predictions(
    connection: Connection,
    token: Token,
    *,
    partition: int,
    offset: int,
    error: str,
    is_proof: bool,
) -> None:
    """
    Take back rows that are not the records of the range: a failure of judging.

    If rows have receipts, open intents or gaps, the batch is split. These rows, and those compared
    before, go to judged pieces, and the rest is judged again.

    Args:
        connection: Its transaction.
        token: The attempt that found out.
        partition: Where the rows and the records differ.
        offset: The first one in doubt; what lies before was compared.
        error: What is wrong there.
        is_proof: Whether it is a proof as well: of one offset, judged after a control that passed.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        LedgerConflict: The batch is not judged, or delivered already.
    """
    held = fence(connection, token, only_if=_CAN_BE, otherwise=_OTHERWISE)
    row = _row(connection, held)
    trouble = {
        "failures": row.failures + 1,
        "proofs": row.proofs + is_proof,
        "last_failure": storable(error),
        "last_error": storable(error),
    }
    _take_back(connection, held, row, _Rest(compared=(partition, offset)), error, trouble)


def judge_again(
    connection: Connection, token: Token, *, destination: str, base: str, why: str
) -> None:
    """
    Take back all rows without a receipt, an open intent or a gap, on a person's word.

    It does not count as a failure. Like `withdraw_predictions`, it splits a batch that has such
    rows. An intent is given up if the pipeline now delivers elsewhere: nobody is going to look
    there again.

    Args:
        connection: Its transaction.
        token: Whose batch it is.
        destination: The server and account that are delivered to now.
        base: The folder.
        why: Who wants it.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        LedgerConflict: The batch is not judged, or delivered already.
    """
    held = fence(connection, token, only_if=_CAN_BE, otherwise=_OTHERWISE)
    row = _row(connection, held)
    trouble = {
        "failures": row.failures,
        "proofs": row.proofs,
        "last_failure": row.last_failure,
        "last_error": storable(why),
    }
    _take_back(connection, held, row, _Rest(place=(destination, base)), why, trouble)


def withdraw_untouched(connection: Connection, token: Token) -> bool:
    """
    Take back all rows if none has a receipt or an intent; it does not count as a failure.

    Returns:
        Whether they were. If not, a file of the batch may be where its rows say, and they stand.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        LedgerConflict: The batch is not judged, or delivered already.
    """
    check(connection, token)
    if _has_touched(connection, token.batch_id, _Rest()):
        return False
    held = fence(connection, token, only_if=_CAN_BE, otherwise=_OTHERWISE, **_UNJUDGED)
    _delete(connection, held.id, _Rest())
    return True


def _row(connection: Connection, held: Held) -> AnyRow:
    return connection.execute(select(batch).where(batch.c.id == held.id)).one()


def _take_back(
    connection: Connection,
    held: Held,
    row: AnyRow,
    rest: _Rest,
    why: str,
    trouble: dict[str, Any],
) -> None:
    """
    Have the whole batch judged again, or what is left of it if something hangs on its rows.

    A batch that is not judged has no rows, so none is forgotten if it is split or lost next.
    """
    if not _has_touched(connection, held.id, rest):
        _delete(connection, held.id, _Rest(place=rest.place))
        _set(connection, held.id, **_UNJUDGED, **trouble)
        return
    sure, doubtful = _rows(connection, held.id, rest)
    if not doubtful:
        _set(connection, held.id, last_error=storable(why))
        return
    _delete(connection, held.id, rest)
    _set(connection, held.id, split_at=from_now(), owner=None, leased_until=None, retry_at=None)
    key = PipelineKey(held.pipeline_id, held.generation)
    stand, again = tile(ranges_of(connection, [held.id])[held.id], sure, doubtful)
    for ranges in stand:
        _hand_over(connection, key, row, ranges, why)
    for ranges in again:
        add_piece(connection, key, row, ranges, why, **trouble)


def _rows(
    connection: Connection, batch_id: int, rest: _Rest
) -> tuple[dict[int, list[int]], dict[int, list[int]]]:
    """List the offsets whose rows stand, and those to be judged again, by partition."""
    kept: defaultdict[int, list[int]] = defaultdict(list)
    doubtful: defaultdict[int, list[int]] = defaultdict(list)
    query = select(record.c.partition, record.c.offset, rest.stands())
    ordered = query.order_by(record.c.partition, record.c.offset)
    for partition, offset, is_kept in connection.execute(
        ordered.where(record.c.batch_id == batch_id)
    ):
        (kept if is_kept else doubtful)[partition].append(offset)
    if rest.compared is not None:
        partition, offset = rest.compared
        if offset not in kept[partition] + doubtful[partition]:
            doubtful[partition] = sorted([*doubtful[partition], offset])
    return kept, {partition: offsets for partition, offsets in doubtful.items() if offsets}


def _hand_over(
    connection: Connection,
    key: PipelineKey,
    parent: AnyRow,
    ranges: Sequence[OffsetRange],
    why: str,
) -> None:
    """Give rows that stand to a judged piece of their own, which is delivered like any other."""
    piece_id = add_piece(
        connection,
        key,
        parent,
        ranges,
        why,
        inferred_at=parent.inferred_at,
        judge_digest=parent.judge_digest,
    )
    for one in ranges:
        connection.execute(
            update(record)
            .where(
                record.c.batch_id == parent.id,
                record.c.partition == one.partition,
                record.c.offset >= one.start,
                record.c.offset < one.end,
            )
            .values(batch_id=piece_id)
        )
    query = select(func.count(), func.coalesce(func.sum(record.c.size_bytes), 0))
    count, total = connection.execute(query.where(record.c.batch_id == piece_id)).one()
    share = count / max(parent.record_count or 0, 1)
    _set(
        connection,
        piece_id,
        record_count=count,
        byte_count=int(total),
        infer_seconds=(parent.infer_seconds or 0.0) * min(share, 1.0),
        loading_seconds=(parent.loading_seconds or 0.0) * min(share, 1.0),
    )


def _set(connection: Connection, batch_id: int, **values: Any) -> None:  # noqa: ANN401 - columns of batch
    connection.execute(update(batch).where(batch.c.id == batch_id).values(**values))


def _delete(connection: Connection, batch_id: int, rest: _Rest) -> None:
    """Delete the rows that are to be judged again."""
    _free_duplicates(connection, batch_id, rest)
    doomed = _doomed(batch_id, rest)
    connection.execute(delete(quarantine).where(quarantine.c.record_id.in_(doomed)))
    connection.execute(delete(current).where(current.c.record_id.in_(doomed)))
    connection.execute(delete(record).where(record.c.id.in_(doomed)))


def _has_touched(connection: Connection, batch_id: int, rest: _Rest) -> bool:
    query = select(record.c.id).where(record.c.batch_id == batch_id, rest.touched()).limit(1)
    return connection.execute(query).one_or_none() is not None


def _doomed(batch_id: int, rest: _Rest) -> Select[int]:
    return select(record.c.id).where(record.c.batch_id == batch_id, ~rest.stands())


def _free_duplicates(connection: Connection, batch_id: int, rest: _Rest) -> None:
    """Let duplicates of doomed rows be rows of their own; they get a name before delivery."""
    doomed = _doomed(batch_id, rest).subquery()
    connection.execute(
        update(record)
        .where(record.c.duplicate_of.in_(select(doomed.c.id)))
        .values(outcome=None, duplicate_of=None)
    )
