"""All that `status` asks of the ledger, in one snapshot: its figures belong together."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, NamedTuple

from sqlalchemy import Connection

from frameferry.domain.state import Ended, Overview
from frameferry.ledger.guards.logins import asked_alone
from frameferry.ledger.progress.gaps import list_gaps
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline, owned_partitions
from frameferry.ledger.progress.states import pipeline_state
from frameferry.ledger.records.listings import counts, last_batches, remark
from frameferry.ledger.records.recent import NOTHING, carried, delivered_at, ended

HOUR: Final = timedelta(hours=1)
WEEK: Final = timedelta(days=7)
"""What recent labels are compared with: so long before them."""


class _Lately(NamedTuple):
    last_hour: Ended = NOTHING
    recent: Ended = NOTHING
    before: Ended = NOTHING


def overview(
    connection: Connection, name: str, *, recent: timedelta, looks: tuple[timedelta, ...]
) -> Overview:
    """
    Read what a person is told of a pipeline; `state` is None if it is not registered.

    Args:
        connection: The ledger.
        name: The pipeline.
        recent: How far back labels are recent.
        looks: How long ago the earlier looks were, the earliest first.
    """
    state, key = pipeline_state(connection, name), find_pipeline(connection, name)
    lately = _lately(connection, key, recent) if key else _Lately()
    return Overview(
        state=state,
        counts=counts(connection, name),
        open_gaps=tuple(gap for gap in list_gaps(connection, name) if gap.accepted_by is None),
        last_batch=next(iter(last_batches(connection, name, 1)), None),
        remark=remark(connection, name),
        owners=owned_partitions(connection, state.cluster_id, state.topic_id) if state else {},
        asked_alone=asked_alone(connection),
        last_hour=lately.last_hour,
        recent=lately.recent,
        before=lately.before,
        carried=carried(connection, key, looks) if key else (),
        delivered_at=delivered_at(connection, key) if key else None,
    )


def _lately(connection: Connection, key: PipelineKey, recent: timedelta) -> _Lately:
    return _Lately(
        last_hour=ended(connection, key, since=HOUR),
        recent=ended(connection, key, since=recent),
        before=ended(connection, key, since=recent + WEEK, until=recent),
    )
