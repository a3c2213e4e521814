"""Replays as they were asked for, and how far they are."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, exists, select

from frameferry.domain.batch import ReplayMode
from frameferry.domain.replay import Replay
from frameferry.domain.selection import Selection
from frameferry.domain.selection_json import parse, to_json
from frameferry.errors import ConfigError
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import batch, replay, replay_base, stopped_replay
from frameferry.ledger.progress.pipelines import PipelineKey, find_pipeline

OPEN_LEAF = (batch.c.committed_at.is_(None), batch.c.split_at.is_(None))
"""What holds for a batch that is neither split nor committed."""


def open_replay(
    connection: Connection,
    name: str,
    selection: Selection,
    mode: ReplayMode,
    into: str | None = None,
) -> Replay | None:
    """Find the open replay of this very selection, mode and base, of the newest generation."""
    key = find_pipeline(connection, name)
    if key is None:
        return None
    is_same = (replay.c.selection == to_json(selection)) & (replay.c.mode == mode)
    is_same &= _base().is_not_distinct_from(into)
    found = _replays(connection, key, is_same & _is_open(), limit=1)
    return found[0] if found else None


def find_replay(connection: Connection, name: str, replay_id: int) -> Replay:
    """
    Read a replay of the newest generation.

    Raises:
        ConfigError: The pipeline has none with this number.
    """
    key = find_pipeline(connection, name)
    found = [] if key is None else _replays(connection, key, replay.c.id == replay_id, limit=1)
    if not found:
        msg = f"this pipeline has no replay {replay_id}"
        raise ConfigError(msg, remedy=f"See: frameferry replays {name}", pipeline=name)
    return found[0]


def list_replays(connection: Connection, name: str, limit: int = 20) -> list[Replay]:
    """List the newest generation's replays, newest first."""
    key = find_pipeline(connection, name)
    return [] if key is None else _replays(connection, key, replay.c.id > 0, limit=limit)


def _is_open() -> ColumnElement[bool]:
    return exists().where(batch.c.replay_id == replay.c.id, *OPEN_LEAF)


def _base() -> ColumnElement[str | None]:
    mine = select(replay_base.c.base).where(replay_base.c.replay_id == replay.c.id)
    return mine.correlate(replay).scalar_subquery()


def replay_bases(connection: Connection, name: str) -> list[str]:
    """List the other bases that replays of the newest generation put copies below."""
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = (
        select(replay_base.c.base)
        .join(replay, replay.c.id == replay_base.c.replay_id)
        .where(replay.c.pipeline_id == key.id, replay.c.generation == key.generation)
    )
    return sorted(connection.scalars(query.distinct()))


def _replays(
    connection: Connection, key: PipelineKey, only: ColumnElement[bool], *, limit: int
) -> list[Replay]:
    query = select(replay).where(
        replay.c.pipeline_id == key.id, replay.c.generation == key.generation, only
    )
    rows = connection.execute(query.order_by(replay.c.id.desc()).limit(limit)).all()
    return [as_replay(connection, row) for row in rows]


def as_replay(connection: Connection, row: AnyRow) -> Replay:
    """Complete a row of the table with how far its batches are."""
    query = select(batch.c.id, batch.c.committed_at.is_(None)).where(
        batch.c.replay_id == row.id, batch.c.split_at.is_(None)
    )
    leaves = connection.execute(query.order_by(batch.c.id)).all()
    stopped = select(stopped_replay.c.who).where(stopped_replay.c.replay_id == row.id)
    into = select(replay_base.c.base).where(replay_base.c.replay_id == row.id)
    return Replay(
        id=row.id,
        mode=row.mode,
        selection=parse(row.selection),
        who=row.who,
        asked_at=row.asked_at,
        batches=len(leaves),
        open_batches=tuple(batch_id for batch_id, is_open in leaves if is_open),
        stopped_by=connection.scalar(stopped),
        into=connection.scalar(into),
    )
