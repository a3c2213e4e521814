"""Resolve quarantines on a person's word: they stay in the ledger, and are open no more."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from frameferry.domain.selection import OneRecord, Quarantined
from frameferry.errors import ConfigError
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import current, quarantine, record
from frameferry.ledger.database.text import signature, storable
from frameferry.ledger.progress.actions import write_action
from frameferry.ledger.progress.pipelines import PipelineKey, need_pipeline
from frameferry.ledger.records.listings import counts


def resolve_quarantined(
    connection: Connection,
    name: str,
    what: OneRecord | Quarantined,
    *,
    because: str,
    who: str,
) -> int:
    """
    Resolve the open quarantines of a record, or of a reason; the action is recorded.

    Rows of a replay that is open are resolved with those that stand, so that its end opens none.

    Args:
        connection: Its transaction.
        name: The pipeline.
        what: One record, or all of a reason.
        because: Why nothing more is to be done about them.
        who: The person, for the record.

    Returns:
        How many records.

    Raises:
        ConfigError: Nothing open matches.
    """
    key = need_pipeline(connection, name)
    standing = _open(key, what, func.count()).join(current, current.c.record_id == record.c.id)
    number = int(connection.execute(standing).scalar_one())
    if not number:
        raise _nothing(connection, name, what)
    connection.execute(
        update(quarantine)
        .where(quarantine.c.record_id.in_(_open(key, what, record.c.id)))
        .values(resolved_at=from_now(), resolved_how=storable(because), resolved_by=signature(who))
    )
    detail = f"{number} of {what}: {because}"
    write_action(connection, who=who, what="resolve quarantine", pipeline_id=key.id, detail=detail)
    return number


def _open(key: PipelineKey, what: OneRecord | Quarantined, *columns: Any) -> Select[Any]:  # noqa: ANN401 - any columns
    """Select from the rows whose quarantine is open, whether they stand or not."""
    return (
        select(*columns)
        .select_from(quarantine)
        .join(record, record.c.id == quarantine.c.record_id)
        # The sum keeps planners from walking all of a pipeline's records instead.
        .where(quarantine.c.resolved_at.is_(None), record.c.pipeline_id + 0 == key.id, _is(what))
    )


def _is(what: OneRecord | Quarantined) -> ColumnElement[bool]:
    match what:
        case OneRecord(partition, offset):
            return (record.c.partition == partition) & (record.c.offset == offset)
        case Quarantined(reason):
            return quarantine.c.reason == reason


def _nothing(connection: Connection, name: str, what: OneRecord | Quarantined) -> ConfigError:
    reasons = counts(connection, name).reasons
    held = ", ".join(f"{reason} ({number})" for reason, number in reasons.items())
    msg = f"nothing that is open in quarantine matches: {what}"
    remedy = f"Open are: {held or 'none'}; see: frameferry quarantine {name}"
    return ConfigError(msg, remedy=remedy, pipeline=name)
