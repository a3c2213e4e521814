"""Give names to rows that lost theirs: duplicates of a record that was never delivered."""

from __future__ import annotations

from sqlalchemy import Connection, exists, select, update

from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import pipeline, record
from frameferry.ledger.guards.fence import Held
from frameferry.ledger.records.names import Holder, Position, find_holders, name_key
from frameferry.ledger.records.predictions import NAME_TAKEN, write_quarantine


def name_the_nameless(connection: Connection, held: Held) -> None:
    """
    Find a name for each row of the batch that is due and holds none.

    A duplicate whose record was quarantined or lost has no file to lean on: it becomes a row of
    its own. A replay's row waits for its own record's name, which passes on with the receipt.
    """
    _free_orphans(connection, held.id)
    rows = _nameless(connection, held.id)
    for destination in {row.destination for row in rows}:
        mine = [row for row in rows if row.destination == destination]
        holders = find_holders(connection, destination, {name_key(row.remote_path) for row in mine})
        for row in mine:
            _name(connection, row, holders)


def _free_orphans(connection: Connection, batch_id: int) -> None:
    holder = record.alias()
    gone = exists().where(
        holder.c.id == record.c.duplicate_of, holder.c.outcome.in_(["quarantined", "gap"])
    )
    connection.execute(
        update(record)
        .where(record.c.batch_id == batch_id, record.c.outcome == "duplicate", gone)
        .values(outcome=None, duplicate_of=None)
    )


def _nameless(connection: Connection, batch_id: int) -> list[AnyRow]:
    query = (
        select(record, pipeline.c.name.label("pipeline_name"))
        .join(pipeline, pipeline.c.id == record.c.pipeline_id)
        .where(
            record.c.batch_id == batch_id,
            record.c.outcome.is_(None),
            record.c.part_path.is_(None),
            record.c.name_key.is_(None),
        )
        .order_by(record.c.partition, record.c.offset)
    )
    return list(connection.execute(query))


def _name(connection: Connection, row: AnyRow, holders: dict[str, Holder]) -> None:
    change = update(record).where(record.c.id == row.id)
    position = Position(row.pipeline_id, row.generation, row.partition, row.offset)
    key = name_key(row.remote_path)
    holder = holders.get(key)
    if holder is None or holder.gives_way(row.sha256):
        connection.execute(change.values(name_key=key))
        holders[key] = Holder(row.id, position, row.sha256, row.pipeline_name)
    elif holder.position == position:
        return
    elif holder.sha256 == row.sha256:
        connection.execute(change.values(outcome="duplicate", duplicate_of=holder.record_id))
    else:
        connection.execute(change.values(outcome="quarantined"))
        detail = f"{row.remote_path} is held by {holder}"
        write_quarantine(connection, "infer", [(row.id, NAME_TAKEN, detail)])
