"""
The ledger's tables. Each rule that must hold is a constraint here, not a habit of the code.

Partial unique indexes work on SQLite and PostgreSQL alike. State is derived from timestamps, which
are tested for NULL and never compared with each other. Ids are never used twice.
"""

from __future__ import annotations

from frameferry.ledger.database.tables.batches import (
    batch,
    batch_range,
    judging,
    replay,
    replay_base,
    stopped_replay,
    tally,
)
from frameferry.ledger.database.tables.columns import metadata
from frameferry.ledger.database.tables.pipelines import (
    action,
    gap,
    ledger,
    login,
    pipeline,
    progress,
)
from frameferry.ledger.database.tables.records import (
    NAME_HEAD_CHARACTERS,
    NAME_INDEX,
    RECORD_FILL_PERCENT,
    current,
    kept_name,
    name_head,
    quarantine,
    record,
    sighting,
)

__all__ = [
    "NAME_HEAD_CHARACTERS",
    "NAME_INDEX",
    "RECORD_FILL_PERCENT",
    "action",
    "batch",
    "batch_range",
    "current",
    "gap",
    "judging",
    "kept_name",
    "ledger",
    "login",
    "metadata",
    "name_head",
    "pipeline",
    "progress",
    "quarantine",
    "record",
    "replay",
    "replay_base",
    "sighting",
    "stopped_replay",
    "tally",
]
