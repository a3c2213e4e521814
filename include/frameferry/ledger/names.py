"""Final names are unique per destination, over all rows of all pipelines that hold one."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select

from frameferry.ledger.bulk import as_text_set
from frameferry.ledger.tables import pipeline, record


class Position(NamedTuple):
    """Where a record lies, over all pipelines and generations."""

    pipeline_id: int
    generation: int
    partition: int
    offset: int


class Holder(NamedTuple):
    """The row that holds a name. `record_id` is None for one that is not inserted yet."""

    record_id: int | None
    position: Position
    sha256: str
    pipeline: str

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
    columns = (
        record.c.name_key,
        record.c.id,
        record.c.pipeline_id,
        record.c.generation,
        record.c.partition,
        record.c.offset,
        record.c.sha256,
        pipeline.c.name,
    )
    query = select(*columns).join(pipeline, pipeline.c.id == record.c.pipeline_id)
    wanted = record.c.name_key.in_(as_text_set(connection, list(keys)))
    return {
        key: Holder(record_id, Position(*position), sha256, name)
        for key, record_id, *position, sha256, name in connection.execute(
            query.where(record.c.destination == destination, wanted)
        )
    }
