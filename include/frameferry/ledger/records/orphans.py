"""What the ledger knows of parts on a server: whose they are, and whether that attempt is over."""

from __future__ import annotations

from collections.abc import Collection
from posixpath import dirname

from sqlalchemy import ColumnElement, Connection, case, select

from frameferry.domain.state import PartFates
from frameferry.ledger.database.bulk import as_set
from frameferry.ledger.database.tables import batch, record, replay
from frameferry.ledger.progress.pipelines import find_pipeline
from frameferry.ledger.records.names import find_holders, name_key

_ATTEMPTS_OF_A_LIVE_BATCH = 2
"""One that judges and one that delivers; a replay that keeps its predictions needs only one."""


def litter_folders(
    connection: Connection, name: str, *, destination: str, batch_id: int | None = None
) -> list[str]:
    """
    List the folders at a destination in which dead attempts may have left parts.

    Those are the folders of batches that took more attempts than they need if all goes well; of one
    batch, or of all.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = (
        select(record.c.remote_path)
        .join(batch, batch.c.id == record.c.batch_id)
        .where(
            batch.c.pipeline_id == key.id,
            _was_retried(),
            record.c.destination == destination,
        )
    )
    if batch_id is not None:
        query = query.where(batch.c.id == batch_id)
    return sorted({dirname(path) for path in connection.scalars(query)})


def part_fates(
    connection: Connection,
    name: str,
    batch_ids: Collection[int],
    *,
    destination: str,
    paths: Collection[str],
) -> PartFates:
    """
    Say which attempts of a pipeline's batches ended, and which parts open intents name.

    Say also which of *paths*, found at a destination, are final names and so not parts.

    No intent for a part of an ended attempt is accepted any more: what is not named now never will
    be. Batches that are unknown, or another pipeline's, are left out.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return PartFates({}, frozenset(), frozenset())
    ours = (batch.c.pipeline_id == key.id) & batch.c.id.in_(as_set(connection, list(batch_ids)))
    over = batch.c.delivered_at.is_not(None) | batch.c.split_at.is_not(None)
    last = case((over, batch.c.attempt), else_=batch.c.attempt - 1)
    ended = connection.execute(select(batch.c.id, last).where(ours))
    # Of all open batches: if one was split, a piece of it has its intents.
    intended = connection.scalars(
        select(record.c.part_path)
        .join(batch, batch.c.id == record.c.batch_id)
        .where(
            batch.c.pipeline_id == key.id,
            batch.c.committed_at.is_(None),
            batch.c.split_at.is_(None),
            record.c.outcome.is_(None),
            record.c.part_path.is_not(None),
        )
    )
    keys = {name_key(path): path for path in paths}
    holders = find_holders(connection, destination, keys)
    return PartFates(
        {row[0]: row[1] for row in ended},
        frozenset(intended),
        frozenset(keys[key] for key in holders),
    )


def _was_retried() -> ColumnElement[bool]:
    """Hold if an attempt may have died: of the batch, or of the judged one it is a piece of."""
    parent = batch.alias()
    judged_parent = select(parent.c.inferred_at).where(parent.c.id == batch.c.parent_id)
    redelivers = select(replay.c.id).where(replay.c.mode == "redeliver")
    usual = case((batch.c.replay_id.in_(redelivers), 1), else_=_ATTEMPTS_OF_A_LIVE_BATCH)
    return (batch.c.attempt > usual) | judged_parent.scalar_subquery().is_not(None)
