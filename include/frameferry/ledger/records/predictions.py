"""What the judge said, frozen: one row per image with its final name, written once per batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert, select

from frameferry.domain.batch import Token
from frameferry.domain.columns import MET, SAID
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction
from frameferry.errors import PredictionsIncomplete
from frameferry.ledger.database.bulk import insert_rows
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import upsert
from frameferry.ledger.database.tables import batch, current, pipeline, quarantine, record
from frameferry.ledger.database.text import storable
from frameferry.ledger.guards.claims import ranges_of
from frameferry.ledger.guards.fence import Held, fence
from frameferry.ledger.records.copies import may_stand
from frameferry.ledger.records.names import Holder, Position, find_holders, name_key
from frameferry.ledger.records.quarantine import trip
from frameferry.ledger.records.sightings import leave_in_doubt, under_sighted_names

NAME_TAKEN = "name taken"
Row = dict[str, Any]


class _Draft(NamedTuple):
    """A row to insert, and what it depends on."""

    row: Row
    duplicate_of: Holder | None = None
    quarantine: tuple[str, str] | None = None


def record_predictions(
    connection: Connection,
    token: Token,
    rows: Sequence[NamedPrediction],
    *,
    destination: str,
    judge_digest: str | None,
    seconds: float,
    loading_seconds: float = 0.0,
    remark: str | None = None,
    max_quarantine: int | None = None,
) -> None:
    """
    Freeze what the judge said, once per batch: rows, final names, quarantines.

    If another record holds the name (compared without case), the row becomes its *duplicate* if the
    bytes are the same, and is quarantined as "name taken" otherwise. A replay's row takes the name
    over with its receipt.

    Args:
        connection: Its transaction.
        token: The attempt that judged.
        rows: One for each record of the batch's ranges, in any order.
        destination: The server and account that the paths are on.
        judge_digest: The model that was loaded; None without a model.
        seconds: How long judging took.
        loading_seconds: How much of it went by before cold workers met their first picture.
        remark: What else there is to say of the batch, in a sentence.
        max_quarantine: With more quarantined images than this, and than a twentieth, in the
            batch or in an hour, the pipeline is blocked in the same transaction; None: never.

    Raises:
        Fenced: A newer attempt, a split or a restore owns the batch.
        LedgerConflict: The batch is judged already.
        PredictionsIncomplete: A row lies outside the ranges, or two are of one record.
    """
    held = fence(
        connection,
        token,
        only_if=batch.c.inferred_at.is_(None),
        otherwise="the batch is already judged: its predictions are frozen",
        inferred_at=from_now(),
        judge_digest=judge_digest,
        infer_seconds=seconds,
        loading_seconds=loading_seconds,
        record_count=len(rows),
        byte_count=sum(row.prediction.size_bytes for row in rows),
        remark=storable(_remark(rows, remark)),
        last_error=None,
        retry_at=None,
    )
    _refuse_strays(rows, ranges_of(connection, [token.batch_id])[token.batch_id], token)
    fresh = sorted(rows, key=lambda row: (row.prediction.partition, row.prediction.offset))
    if held.kind == "live":
        fresh = under_sighted_names(connection, held, destination, fresh)
    base = _base(held, destination, judge_digest)
    keys = {id(row): name_key(row.remote_path) for row in fresh}
    holders = find_holders(connection, destination, keys.values())
    name = connection.scalar(select(pipeline.c.name).where(pipeline.c.id == held.pipeline_id))
    drafts = [_draft(row, keys[id(row)], base, holders, str(name)) for row in fresh]
    _insert(connection, token.batch_id, drafts)
    _stand(connection, token.batch_id)
    if held.kind == "live":
        leave_in_doubt(connection, held.id)
    if max_quarantine is not None:
        trip(connection, held, max_quarantine)


def _remark(rows: Sequence[NamedPrediction], said: str | None) -> str | None:
    """Join to *said* what the judge remarks on more than half of the pictures."""
    remarks = Counter(row.prediction.detail for row in rows if row.prediction.reason is None)
    del remarks[None]
    [(remark, number)] = remarks.most_common(1) or [(None, 0)]
    is_common = number * 2 > len(rows)
    common = f"{number:,} of {len(rows):,} pictures: {remark}" if is_common else None
    return "; ".join(one for one in (said, common) if one) or None


def _refuse_strays(
    rows: Sequence[NamedPrediction], ranges: Sequence[OffsetRange], token: Token
) -> None:
    seen: set[tuple[int, int]] = set()
    for row in rows:
        where = row.prediction.partition, row.prediction.offset
        if where in seen:
            raise _incomplete(token, *where, "two rows for one record")
        seen.add(where)
        if not any(wanted.partition == where[0] and where[1] in wanted for wanted in ranges):
            raise _incomplete(token, *where, "a row for an offset outside the batch")


def _incomplete(token: Token, partition: int, offset: int, what: str) -> PredictionsIncomplete:
    return PredictionsIncomplete(
        f"the judge returned {what}",
        remedy="Nothing was recorded; the batch is judged again at the next try",
        batch=token.batch_id,
        partition=partition,
        offset=offset,
    )


def _base(held: Held, destination: str, judge_digest: str | None) -> Row:
    return {
        "batch_id": held.id,
        "pipeline_id": held.pipeline_id,
        "generation": held.generation,
        "destination": destination,
        "judge_digest": judge_digest,
        "outcome": None,
        "duplicate_of": None,
    }


def _draft(
    named: NamedPrediction, key: str, base: Row, holders: dict[str, Holder], pipeline_name: str
) -> _Draft:
    """Decide who holds the row's name; *holders* learns of a row that takes a free one."""
    said = named.prediction
    row = {
        **base,
        **{name: _storable(getattr(said, name)) for name in (*MET, *SAID)},
        "remote_path": named.remote_path,
        "name_key": None,
    }
    position = Position(base["pipeline_id"], base["generation"], said.partition, said.offset)
    if named.quarantine is not None:
        return _quarantined(row, *named.quarantine)
    holder = holders.get(key)
    if holder is None or holder.gives_way(said.sha256):
        holders[key] = Holder(None, position, said.sha256, pipeline_name)
        return _Draft({**row, "name_key": key})
    if holder.position == position:
        # A replay of this very record: the name passes on with the receipt.
        return _Draft(row)
    if holder.sha256 == said.sha256:
        return _Draft({**row, "outcome": "duplicate"}, duplicate_of=holder)
    return _quarantined(row, NAME_TAKEN, f"{named.remote_path} is held by {holder}")


def _storable(value: Any) -> Any:  # noqa: ANN401 - a value of any column
    return storable(value) if isinstance(value, str) else value


def _quarantined(row: Row, reason: str, detail: str) -> _Draft:
    return _Draft({**row, "outcome": "quarantined"}, quarantine=(reason, detail))


def _insert(connection: Connection, batch_id: int, drafts: Sequence[_Draft]) -> None:
    """Insert the rows; duplicates last, since they point at rows of the same batch as well."""
    first = [draft.row for draft in drafts if draft.duplicate_of is None]
    if first:
        insert_rows(connection, record, first)
    duplicates = [(draft.row, draft.duplicate_of) for draft in drafts if draft.duplicate_of]
    refused = [(draft.row, draft.quarantine) for draft in drafts if draft.quarantine]
    if not duplicates and not refused:
        return
    ids = _ids(connection, batch_id)
    if duplicates:
        insert_rows(connection, record, [_pointing(row, holder, ids) for row, holder in duplicates])
    if refused:
        write_quarantine(
            connection,
            "infer",
            [(ids[row["partition"], row["offset"]], *why) for row, why in refused],
        )


def _pointing(row: Row, holder: Holder, ids: Mapping[tuple[int, int], int]) -> Row:
    known = holder.record_id
    return {**row, "duplicate_of": known or ids[holder.position.partition, holder.position.offset]}


def _ids(connection: Connection, batch_id: int) -> dict[tuple[int, int], int]:
    query = select(record.c.partition, record.c.offset, record.c.id)
    rows = connection.execute(query.where(record.c.batch_id == batch_id))
    return {(partition, offset): record_id for partition, offset, record_id in rows}


def write_quarantine(
    connection: Connection, stage: str, rows: Iterable[tuple[int, str, str]]
) -> None:
    """Say why records are not delivered: (record id, reason, detail) each."""
    statement = insert(quarantine).values(found_at=from_now())
    connection.execute(
        statement,
        [
            {
                "record_id": record_id,
                "stage": stage,
                "reason": storable(reason) or "unknown",
                "detail": storable(detail),
            }
            for record_id, reason, detail in rows
        ],
    )


def _stand(connection: Connection, batch_id: int) -> None:
    """Let the rows stand for those of their offsets for which none stands yet; no copy does."""
    columns = ["pipeline_id", "generation", "partition", "offset", "record_id"]
    rows = select(
        record.c.pipeline_id, record.c.generation, record.c.partition, record.c.offset, record.c.id
    ).where(record.c.batch_id == batch_id, may_stand(batch_id))
    connection.execute(
        upsert(connection, current).from_select(columns, rows).on_conflict_do_nothing()
    )
