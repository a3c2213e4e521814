"""All that `status` asks of the ledger, in one snapshot: its figures belong together."""

from __future__ import annotations

from sqlalchemy import Connection

from frameferry.domain.state import Overview
from frameferry.ledger.guards.logins import asked_alone
from frameferry.ledger.progress.gaps import list_gaps
from frameferry.ledger.progress.pipelines import owned_partitions
from frameferry.ledger.progress.states import pipeline_state
from frameferry.ledger.records.listings import counts, last_batches, remark


def overview(connection: Connection, name: str) -> Overview:
    """Read what a person is told of a pipeline; `state` is None if it is not registered."""
    state = pipeline_state(connection, name)
    return Overview(
        state=state,
        counts=counts(connection, name),
        open_gaps=tuple(gap for gap in list_gaps(connection, name) if gap.accepted_by is None),
        last_batch=next(iter(last_batches(connection, name, 1)), None),
        remark=remark(connection, name),
        owners=owned_partitions(connection, state.cluster_id, state.topic_id) if state else {},
        asked_alone=asked_alone(connection),
    )
