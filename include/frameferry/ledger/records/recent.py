"""What ended lately: pictures by label, and how far offsets were carried."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, exists, func, select

from frameferry.domain.state import Ended
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import batch, batch_range, tally
from frameferry.ledger.progress.pipelines import PipelineKey

_HAS_A_FILE = ("delivered", "duplicate")
_QUARANTINED = "quarantined"
NOTHING = Ended(labels={}, unjudged=0, quarantined=0)


def ended(
    connection: Connection, key: PipelineKey, *, since: timedelta, until: timedelta = timedelta()
) -> Ended:
    """
    Count the pictures of live batches that were committed from *since* ago to *until* ago.

    Rows that a replay replaced are left out, and batches that were counted anew since.
    """
    query = (
        select(tally.c.outcome, tally.c.label, func.sum(tally.c.number))
        .join(batch, batch.c.id == tally.c.batch_id)
        .where(*_committed(key, since), batch.c.committed_at < _ago(until))
        .group_by(tally.c.outcome, tally.c.label)
    )
    labels: Counter[str] = Counter()
    unjudged = quarantined = 0
    for outcome, label, number in connection.execute(query):
        if outcome == _QUARANTINED:
            quarantined += int(number)
        elif outcome in _HAS_A_FILE and label:
            labels[label] += int(number)
        elif outcome in _HAS_A_FILE:
            unjudged += int(number)
    return Ended(labels=dict(sorted(labels.items())), unjudged=unjudged, quarantined=quarantined)


def carried(
    connection: Connection, key: PipelineKey, looks: tuple[timedelta, ...]
) -> tuple[Mapping[int, int], ...]:
    """
    Count the offsets that live batches committed since each look, by partition.

    Args:
        connection: The ledger.
        key: The pipeline.
        looks: How long ago they were, the earliest first.

    Returns:
        As many mappings as looks; none if nothing was planned by the earliest.
    """
    planned_by_then = exists().where(
        batch.c.pipeline_id == key.id, batch.c.planned_at < _ago(looks[0])
    )
    if not connection.scalar(select(planned_by_then)):
        return ()
    return tuple(_carried(connection, key, since) for since in looks)


def delivered_at(connection: Connection, key: PipelineKey) -> datetime | None:
    """Say when the newest delivered batch was delivered; None if none was."""
    query = select(batch.c.delivered_at).where(
        batch.c.pipeline_id == key.id, batch.c.kind == "live", batch.c.delivered_at.is_not(None)
    )
    return connection.scalar(query.order_by(batch.c.id.desc()).limit(1))


def _carried(connection: Connection, key: PipelineKey, since: timedelta) -> Mapping[int, int]:
    query = (
        select(
            batch_range.c.partition,
            func.sum(batch_range.c.end_offset - batch_range.c.start_offset),
        )
        .join(batch, batch.c.id == batch_range.c.batch_id)
        .where(*_committed(key, since), batch.c.generation == key.generation)
        .group_by(batch_range.c.partition)
    )
    return {partition: int(number) for partition, number in connection.execute(query)}


def _committed(key: PipelineKey, since: timedelta) -> tuple[ColumnElement[bool], ...]:
    """
    Select live batches that were committed since then.

    It walks back by ids to the first that was committed before, not through all there are; so one
    that waited behind a gap for later ones is left out.
    """
    mine = (batch.c.pipeline_id == key.id, batch.c.kind == "live")
    older = (
        select(batch.c.id)
        .where(*mine, batch.c.committed_at < _ago(since))
        .order_by(batch.c.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    return (*mine, batch.c.id > func.coalesce(older, 0), batch.c.committed_at >= _ago(since))


def _ago(age: timedelta) -> ColumnElement[datetime]:
    return from_now(-age.total_seconds())
