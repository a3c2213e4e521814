"""End a recovery: what the world was seen to hold is written down, and the pipeline goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, update

from frameferry.domain.sightings import Sighting
from frameferry.errors import LedgerConflict
from frameferry.ledger.database.tables import batch, pipeline, progress
from frameferry.ledger.guards.epochs import begin_epoch, live_leases
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import lock_progress
from frameferry.ledger.progress.pipelines import PipelineKey, need_pipeline
from frameferry.ledger.records.sightings import (
    leave_in_doubt,
    open_judged,
    rename_sighted,
    replace_sightings,
)


def renew_epoch(connection: Connection, name: str, *, who: str) -> str:
    """
    Begin a new epoch, which fences every token of every pipeline, and skip ids ahead.

    For a ledger that became an older one under its own epoch, as after a failover.
    """
    key = need_pipeline(connection, name)
    epoch = begin_epoch(connection, {})
    write_action(connection, who=who, what="new epoch", pipeline_id=key.id, detail=epoch)
    return epoch


def record_confirmation(connection: Connection, name: str, *, who: str, reason: str) -> None:
    """Write down that a person vouches for this ledger as the newest."""
    key = need_pipeline(connection, name)
    write_action(connection, who=who, what="confirm", pipeline_id=key.id, detail=reason)


def record_recovery(
    connection: Connection,
    name: str,
    *,
    recovered_to: Mapping[int, int],
    taken_to: Mapping[int, int],
    looked_to: Mapping[int, int],
    destination: str,
    seen: Sequence[Sighting],
    who: str,
    detail: str,
) -> int:
    """
    Write down what the world holds beyond the ledger, and let the pipeline go on.

    Args:
        connection: Its transaction.
        name: The pipeline.
        recovered_to: Per partition, the mirrored offset that was looked into.
        taken_to: Per partition, the offset below which a file that is not there was taken.
        looked_to: Per partition, the offset below which a file that was not seen is looked
            for by its name before it is sent: the list may not have been whole.
        destination: The server and account on which *seen* are.
        seen: Files of records beyond the committed offsets.
        who: The person, for the record.
        detail: What was found, for the record.

    Returns:
        How many rows judged by now it leaves in doubt, for the next delivery to settle. Rows that
        are judged later are left in doubt then.
    """
    key = need_pipeline(connection, name)
    _refuse_in_use(connection, key, name)
    for partition in lock_progress(connection, key):
        marks = {
            "recovered_to": recovered_to.get(partition),
            "taken_to": taken_to.get(partition),
            "looked_to": looked_to.get(partition),
        }
        _mark(connection, key, partition, marks)
    replace_sightings(connection, key, destination, seen)
    judged = open_judged(connection, key)
    rename_sighted(connection, key, judged)
    in_doubt = sum(leave_in_doubt(connection, batch_id) for batch_id in judged)
    connection.execute(update(pipeline).where(pipeline.c.id == key.id).values(restored_at=None))
    write_action(connection, who=who, what="recover", pipeline_id=key.id, detail=detail)
    return in_doubt


def _refuse_in_use(connection: Connection, key: PipelineKey, name: str) -> None:
    """Refuse while somebody delivers: they read what is due before rows are left in doubt."""
    for lease in live_leases(connection, batch.c.pipeline_id == key.id):
        msg = (
            f"batch {lease.id} is being worked on by {lease.owner} until "
            f"{lease.leased_until:%Y-%m-%d %H:%M:%S} UTC"
        )
        raise LedgerConflict(
            msg, remedy="Stop the pipeline's runs (pause its DAG), and wait for it", pipeline=name
        )


def _mark(
    connection: Connection, key: PipelineKey, partition: int, marks: Mapping[str, int | None]
) -> None:
    connection.execute(
        update(progress)
        .where(
            progress.c.pipeline_id == key.id,
            progress.c.generation == key.generation,
            progress.c.partition == partition,
        )
        .values(marks)
    )
