"""Final names are unique per destination, over all rows of all pipelines that hold one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, Table, null, select

from frameferry.ledger.database.bulk import as_text_set
from frameferry.ledger.database.tables import kept_name, pipeline, record


class Position(NamedTuple):
    """Where a record lies, over all pipelines and generations."""

    pipeline_id: int
    generation: int
    partition: int
    offset: int


class Holder(NamedTuple):
    """
    The row that holds a name. `record_id` is None for one that is not inserted yet.

    A pruned record has no row any more, but still holds its name.
    """

    record_id: int | None
    position: Position
    sha256: str
    pipeline: str
    is_pruned: bool = False

    def gives_way(self, sha256: str) -> bool:
        """Say whether a record may take the name: a pruned one's, for the very same bytes."""
        return self.is_pruned and self.sha256 == sha256

    def __str__(self) -> str:
        return f"record {self.position.partition}:{self.position.offset} of {self.pipeline}"


def name_key(remote_path: str) -> str:
    """
    Digest a path for comparison: two that differ in case only are one name.

    A digest, since a path may be longer than an index entry.
    """
    return hashlib.sha256(remote_path.casefold().encode("utf-8", "surrogatepass")).hexdigest()


def find_holders(
    connection: Connection, destination: str, keys: Iterable[str]
) -> dict[str, Holder]:
    """Find the rows that hold these names at a destination, by key."""
    wanted = as_text_set(connection, list(keys))
    pruned = _holders(connection, kept_name, null().label("id"), destination, wanted)
    return {
        **{key: holder._replace(is_pruned=True) for key, holder in pruned.items()},
        **_holders(connection, record, record.c.id, destination, wanted),
    }


def _holders(
    connection: Connection,
    table: Table,
    record_id: ColumnElement[Any],
    destination: str,
    wanted: Select[Any],
) -> dict[str, Holder]:
    columns = (
        table.c.name_key,
        record_id,
        table.c.pipeline_id,
        table.c.generation,
        table.c.partition,
        table.c.offset,
        table.c.sha256,
        pipeline.c.name,
    )
    query = select(*columns).join(pipeline, pipeline.c.id == table.c.pipeline_id)
    mine = (table.c.destination == destination) & table.c.name_key.in_(wanted)
    return {
        key: Holder(holder_id, Position(*position), sha256, name)
        for key, holder_id, *position, sha256, name in connection.execute(query.where(mine))
    }
