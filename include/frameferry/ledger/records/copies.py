"""Rows of replays into another base: copies of what stands, which never stand themselves."""

from __future__ import annotations

from sqlalchemy import ColumnElement, FromClause, exists, func, literal

from frameferry.domain.replay import Relocation
from frameferry.ledger.database.tables import batch, replay_base


def is_copy(of: FromClause = batch) -> ColumnElement[bool]:
    """Hold for a batch of a replay into another base."""
    return exists().where(replay_base.c.replay_id == of.c.replay_id)


def may_stand(batch_id: int) -> ColumnElement[bool]:
    """Hold if the rows of a batch may stand for their offsets."""
    mine = exists().where(batch.c.id == batch_id, replay_base.c.replay_id == batch.c.replay_id)
    return ~mine


def relocated(path: ColumnElement[str], to: Relocation) -> ColumnElement[str]:
    """Put a path that lies below a base below another."""
    begin = len(to.base.rstrip("/")) + 1
    return literal(to.into.rstrip("/")) + func.substr(path, begin)
