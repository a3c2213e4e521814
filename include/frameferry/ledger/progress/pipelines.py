"""Pipelines: who owns which partitions of which topic, and what blocks them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, select, update

from frameferry.errors import LedgerConflict, TopicChanged
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.dialects import AnyRow, upsert
from frameferry.ledger.database.tables import batch, pipeline, progress
from frameferry.ledger.database.text import storable
from frameferry.ledger.progress.actions import write_action


class PipelineKey(NamedTuple):
    """A pipeline's row, as far as other rows refer to it."""

    id: int
    generation: int


def find_pipeline(connection: Connection, name: str) -> PipelineKey | None:
    """Find a pipeline by name."""
    query = select(pipeline.c.id, pipeline.c.generation).where(pipeline.c.name == name)
    row = connection.execute(query).one_or_none()
    return None if row is None else PipelineKey(*row)


def need_pipeline(connection: Connection, name: str) -> PipelineKey:
    """
    Find a pipeline that must be there.

    Raises:
        LedgerConflict: It is not registered.
    """
    key = find_pipeline(connection, name)
    if key is None:
        msg = "the ledger does not know this pipeline"
        raise LedgerConflict(msg, remedy="It is registered when it is first planned", pipeline=name)
    return key


def register_pipeline(
    connection: Connection,
    name: str,
    *,
    cluster_id: str,
    topic: str,
    topic_id: str,
    starts: Mapping[int, int],
) -> None:
    """
    Register a pipeline and those of its partitions that are new; may be repeated.

    Args:
        connection: Its transaction.
        name: The pipeline.
        cluster_id: Its Kafka cluster, by Kafka's own id.
        topic: Its topic's name, for people.
        topic_id: Its topic, by Kafka's own id.
        starts: The first offset to read, per partition. A partition that is known already
            keeps its progress, whatever is said here.

    Raises:
        TopicChanged: The pipeline is recorded with another topic or cluster.
        LedgerConflict: Another pipeline owns one of the partitions.
    """
    connection.execute(
        upsert(connection, pipeline)
        .values(
            name=name,
            cluster_id=cluster_id,
            topic=topic,
            topic_id=topic_id,
            generation=1,
            created_at=from_now(),
        )
        .on_conflict_do_nothing(index_elements=[pipeline.c.name])
    )
    row = connection.execute(select(pipeline).where(pipeline.c.name == name)).one()
    _refuse_other_topic(row, name, cluster_id, topic_id)
    refuse_owned(connection, row, starts)
    add_partitions(connection, row, starts)


def owned_partitions(connection: Connection, cluster_id: str, topic_id: str) -> dict[int, str]:
    """Read which partitions of a topic are owned, each with its pipeline's name."""
    query = (
        select(progress.c.partition, pipeline.c.name)
        .join(pipeline, pipeline.c.id == progress.c.pipeline_id)
        .where(
            progress.c.cluster_id == cluster_id,
            progress.c.topic_id == topic_id,
            progress.c.retired_at.is_(None),
        )
        .order_by(progress.c.partition)
    )
    return dict(connection.execute(query).all())


def block(connection: Connection, name: str, *, reason: str, digest: str | None) -> None:
    """
    Let nothing run; *digest* names the connection at fault, None if a person must act.

    A block that waits for a person stands until then; other troubles are found again after it.
    """
    key = need_pipeline(connection, name)
    # A block that waits for a person must not be replaced by one that lifts itself.
    gives_way = pipeline.c.blocked_at.is_(None) | pipeline.c.blocked_digest.is_not(None)
    connection.execute(
        update(pipeline)
        .where(pipeline.c.id == key.id, gives_way)
        .values(blocked_reason=storable(reason), blocked_digest=digest, blocked_at=from_now())
    )


def unblock(connection: Connection, name: str, *, who: str) -> bool:
    """
    Unblock a pipeline and end its batches' back-offs; say whether it was blocked. Recorded.

    *who* is a person who has seen what is quarantined, so that it no longer counts.
    """
    stands = pipeline.c.blocked_at.is_not(None)
    return _free(connection, name, stands, who, quarantine_counts_from=from_now())


def free_of(connection: Connection, name: str, *, digest: str, who: str) -> bool:
    """
    Lift the block that names this connection, which has changed; otherwise like `unblock`.

    Nobody has looked at anything: what is quarantined counts as before.
    """
    return _free(connection, name, pipeline.c.blocked_digest == digest, who)


def _free(
    connection: Connection, name: str, stands: ColumnElement[bool], who: str, **written: object
) -> bool:
    key = need_pipeline(connection, name)
    freed = connection.execute(
        update(pipeline)
        .where(pipeline.c.id == key.id, stands)
        .values(blocked_reason=None, blocked_digest=None, blocked_at=None, **written)
    )
    if freed.rowcount:
        # What backs off does so for the very trouble that was just put right.
        connection.execute(
            update(batch)
            .where(batch.c.pipeline_id == key.id, batch.c.committed_at.is_(None))
            .values(retry_at=None)
        )
        write_action(connection, who=who, what="unblock", pipeline_id=key.id, detail="")
    return bool(freed.rowcount)


def _refuse_other_topic(row: AnyRow, name: str, cluster_id: str, topic_id: str) -> None:
    if (row.cluster_id, row.topic_id) == (cluster_id, topic_id):
        return
    what = "Kafka cluster" if row.cluster_id != cluster_id else "topic"
    msg = (
        f"another {what} than the ledger's: topic id {topic_id} in cluster {cluster_id}, "
        f"recorded {row.topic_id} in {row.cluster_id}"
    )
    raise TopicChanged(
        msg,
        remedy=f"Its offsets mean other images. Was it created anew on purpose? Then run: "
        f"frameferry topic accept {name} --reason …",
        pipeline=name,
    )


def refuse_owned(connection: Connection, row: AnyRow, starts: Mapping[int, int]) -> None:
    """Refuse another's partitions, and name the owner; between rivals the unique index decides."""
    owned = owned_partitions(connection, row.cluster_id, row.topic_id)
    for partition, owner in owned.items():
        if owner != row.name and partition in starts:
            msg = f"the partition belongs to pipeline {owner}"
            remedy = (
                "Give each pipeline partitions of its own (kafka.partitions); a partition stays "
                "with the pipeline that planned it first"
            )
            raise LedgerConflict(msg, remedy=remedy, pipeline=row.name, partition=partition)


def add_partitions(connection: Connection, row: AnyRow, starts: Mapping[int, int]) -> None:
    """Add to a pipeline's newest generation the partitions that it lacks."""
    if not starts:
        return
    place = [progress.c.pipeline_id, progress.c.generation, progress.c.partition]
    connection.execute(
        upsert(connection, progress).on_conflict_do_nothing(index_elements=place),
        [
            {
                "pipeline_id": row.id,
                "generation": row.generation,
                "partition": partition,
                "cluster_id": row.cluster_id,
                "topic_id": row.topic_id,
                "planned_offset": start,
                "committed_offset": start,
                "start_offset": start,
            }
            for partition, start in sorted(starts.items())
        ],
    )
