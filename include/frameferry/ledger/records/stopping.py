"""Stop a replay on a person's word, and let it go on: no batch of it is claimed in between."""

from __future__ import annotations

from sqlalchemy import Connection, delete, insert

from frameferry.domain.replay import Replay
from frameferry.errors import ConfigError
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import stopped_replay
from frameferry.ledger.database.text import signature
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.commits import lock_progress
from frameferry.ledger.progress.pipelines import need_pipeline
from frameferry.ledger.records.asked import find_replay


def stop_replay(connection: Connection, name: str, replay_id: int, *, who: str) -> Replay:
    """
    Let no batch of a replay be claimed any more; the action is recorded.

    A step that holds one of them goes on to its end. The replay stays open, so that no other has
    its offsets.

    Returns:
        The replay, stopped.

    Raises:
        ConfigError: There is none with this number, or it is done, or stopped already.
    """
    key = need_pipeline(connection, name)
    lock_progress(connection, key)
    found = find_replay(connection, name, replay_id)
    if found.state != "open":
        state = "done" if found.state == "done" else f"stopped already, by {found.stopped_by}"
        msg = f"{found} is {state}"
        raise ConfigError(msg, remedy="There is nothing to stop", pipeline=name)
    row = {"replay_id": replay_id, "who": signature(who), "stopped_at": from_now()}
    connection.execute(insert(stopped_replay).values(**row))
    detail = f"replay {replay_id}"
    write_action(connection, who=who, what="stop replay", pipeline_id=key.id, detail=detail)
    return find_replay(connection, name, replay_id)


def resume_replay(connection: Connection, name: str, replay_id: int, *, who: str) -> Replay:
    """
    Let the batches of a stopped replay be claimed again; the action is recorded.

    Returns:
        The replay, open.

    Raises:
        ConfigError: There is none with this number, or it is not stopped.
    """
    key = need_pipeline(connection, name)
    lock_progress(connection, key)
    found = find_replay(connection, name, replay_id)
    if found.state != "stopped":
        msg = f"{found} is {found.state}, and was not stopped"
        raise ConfigError(msg, remedy=f"See: frameferry replays {name}", pipeline=name)
    connection.execute(delete(stopped_replay).where(stopped_replay.c.replay_id == replay_id))
    detail = f"replay {replay_id}"
    write_action(connection, who=who, what="resume replay", pipeline_id=key.id, detail=detail)
    return find_replay(connection, name, replay_id)
