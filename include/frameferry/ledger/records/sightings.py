"""
What a recovery saw on the server, applied to the rows of records that were forgotten.

A file that was seen is a rename in doubt: its row gets an intent whose part nobody has, and the
next delivery settles it as any other. So a file that is still there, whole, is the delivery; and
nothing is believed without looking again.

A file that was not seen may be there all the same: no list is known to be whole. Its row gets an
intent as well, whose part says that nobody has seen a file: it is looked for by its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, insert, or_, select, update

from frameferry.domain.records import LOST_PART, UNSEEN_PART, NamedPrediction
from frameferry.domain.sightings import Sighting
from frameferry.ledger.database.bulk import as_pairs
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, batch_range, progress, record, sighting
from frameferry.ledger.guards.fence import Held
from frameferry.ledger.progress.pipelines import PipelineKey
from frameferry.ledger.records.names import find_holders, name_key

NOBODYS_ATTEMPT: Final = 0
"""The holder of an intent that no attempt of this life wrote down."""
_CHUNK: Final = 5_000


def replace_sightings(
    connection: Connection, key: PipelineKey, destination: str, seen: Sequence[Sighting]
) -> None:
    """Write down what was seen; what an earlier recovery saw is forgotten."""
    mine = (sighting.c.pipeline_id == key.id) & (sighting.c.generation == key.generation)
    connection.execute(delete(sighting).where(mine))
    common = {"pipeline_id": key.id, "generation": key.generation, "destination": destination}
    statement = insert(sighting).values(seen_at=from_now())
    for start in range(0, len(seen), _CHUNK):
        connection.execute(
            statement,
            [
                {
                    **common,
                    "partition": one.partition,
                    "offset": one.offset,
                    "remote_path": one.remote_path,
                    "size_bytes": one.size_bytes,
                    "sha256": one.sha256,
                }
                for one in seen[start : start + _CHUNK]
            ],
        )


def under_sighted_names(
    connection: Connection, held: Held, destination: str, rows: Sequence[NamedPrediction]
) -> list[NamedPrediction]:
    """Give rows the names under which their files were seen: today's label may be another."""
    seen = _seen_in(connection, held, destination)
    return [_under_sighted_name(row, seen) for row in rows] if seen else list(rows)


def leave_in_doubt(connection: Connection, batch_id: int) -> int:
    """
    Leave in doubt a judged batch's rows whose files a recovery saw, or may have missed.

    Returns:
        How many there are.
    """
    rows = connection.execute(
        select(
            record.c.id,
            record.c.partition,
            record.c.offset,
            record.c.remote_path,
            or_(_was_seen(), _was_taken()).label("is_known"),
        )
        .outerjoin(sighting, _same_file())
        .join(progress, _progress_of_record())
        .where(
            record.c.batch_id == batch_id,
            record.c.outcome.is_(None),
            record.c.part_path.is_(None),
            record.c.name_key.is_not(None),
            or_(_was_seen(), _was_taken(), _may_be_unseen()),
        )
    ).all()
    if rows:
        pair = as_pairs(connection, [(row.id, _lost_part(row)) for row in rows])
        connection.execute(
            update(record)
            .where(record.c.id == pair.c.id)
            .values(part_path=pair.c.value, intent_attempt=NOBODYS_ATTEMPT, intended_at=from_now())
        )
    return len(rows)


def rename_sighted(connection: Connection, key: PipelineKey, batch_ids: Iterable[int]) -> None:
    """Move judged rows that are due to the names under which their files were seen."""
    rows = connection.execute(
        select(record.c.id, sighting.c.remote_path, sighting.c.destination)
        .join(sighting, and_(_same_record(), sighting.c.remote_path != record.c.remote_path))
        .where(
            record.c.batch_id.in_(list(batch_ids)),
            record.c.pipeline_id == key.id,
            record.c.outcome.is_(None),
            record.c.part_path.is_(None),
            record.c.name_key.is_not(None),
        )
    ).all()
    for row in rows:
        taken = name_key(row.remote_path)
        if taken not in find_holders(connection, row.destination, [taken]):
            connection.execute(
                update(record)
                .where(record.c.id == row.id)
                .values(remote_path=row.remote_path, name_key=taken)
            )


def open_judged(connection: Connection, key: PipelineKey) -> list[int]:
    """List the live batches that are judged and not delivered."""
    query = select(batch.c.id).where(
        batch.c.pipeline_id == key.id,
        batch.c.generation == key.generation,
        batch.c.kind == "live",
        batch.c.committed_at.is_(None),
        batch.c.split_at.is_(None),
        batch.c.inferred_at.is_not(None),
        batch.c.delivered_at.is_(None),
    )
    return list(connection.scalars(query.order_by(batch.c.id)))


def _seen_in(
    connection: Connection, held: Held, destination: str
) -> dict[tuple[int, int], Sighting]:
    inside = exists().where(
        batch_range.c.batch_id == held.id,
        batch_range.c.partition == sighting.c.partition,
        batch_range.c.start_offset <= sighting.c.offset,
        batch_range.c.end_offset > sighting.c.offset,
    )
    columns = (
        sighting.c.partition,
        sighting.c.offset,
        sighting.c.remote_path,
        sighting.c.size_bytes,
        sighting.c.sha256,
    )
    query = select(*columns).where(
        sighting.c.pipeline_id == held.pipeline_id,
        sighting.c.generation == held.generation,
        sighting.c.destination == destination,
        inside,
    )
    return {(row.partition, row.offset): Sighting(*row) for row in connection.execute(query)}


def _under_sighted_name(
    row: NamedPrediction, seen: dict[tuple[int, int], Sighting]
) -> NamedPrediction:
    said = row.prediction
    found = seen.get((said.partition, said.offset))
    if found is None or row.quarantine is not None or found.size_bytes != said.size_bytes:
        return row
    if found.sha256 not in {None, said.sha256}:
        return row
    return replace(row, remote_path=found.remote_path)


def _same_record() -> ColumnElement[bool]:
    return and_(
        sighting.c.pipeline_id == record.c.pipeline_id,
        sighting.c.generation == record.c.generation,
        sighting.c.partition == record.c.partition,
        sighting.c.offset == record.c.offset,
        sighting.c.destination == record.c.destination,
        sighting.c.size_bytes == record.c.size_bytes,
        or_(sighting.c.sha256.is_(None), sighting.c.sha256 == record.c.sha256),
    )


def _same_file() -> ColumnElement[bool]:
    return and_(_same_record(), sighting.c.remote_path == record.c.remote_path)


def _was_seen() -> ColumnElement[bool]:
    return sighting.c.offset.is_not(None)


def _was_taken() -> ColumnElement[bool]:
    return and_(progress.c.taken_to.is_not(None), record.c.offset < progress.c.taken_to)


def _may_be_unseen() -> ColumnElement[bool]:
    """Hold for records of which no file was seen, not even one that proved to be another's."""
    position = and_(
        sighting.c.pipeline_id == record.c.pipeline_id,
        sighting.c.generation == record.c.generation,
        sighting.c.partition == record.c.partition,
        sighting.c.offset == record.c.offset,
    )
    seen = exists(select(sighting.c.offset).where(position).correlate(record))
    return and_(record.c.offset < progress.c.looked_to, ~seen)


def _progress_of_record() -> ColumnElement[bool]:
    return and_(
        progress.c.pipeline_id == record.c.pipeline_id,
        progress.c.generation == record.c.generation,
        progress.c.partition == record.c.partition,
    )


def _lost_part(row: AnyRow) -> str:
    """Name a part that no attempt has ever uploaded: it is gone, like one that was renamed."""
    folder = row.remote_path.rpartition("/")[0]
    kind = LOST_PART if row.is_known else UNSEEN_PART
    return f"{folder}/{kind}{row.partition}-{row.offset}.part"
