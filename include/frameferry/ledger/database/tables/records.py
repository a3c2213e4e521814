"""Tables of images: one row per image and batch, which row stands, and what outlives them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    ForeignKey,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    collate,
    func,
)

from frameferry.ledger.database.tables.columns import (
    ID,
    check,
    metadata,
    moment,
    number,
    of_batch,
    refers_to,
    row_id,
    said,
    words,
)

NAME_INDEX: Final = "uq_record_name"
"""The index of one holder per name: the only one that rivals may break without a bug."""
NAME_HEAD_CHARACTERS: Final = 64
"""How much of a source name PostgreSQL indexes: a name may be longer than an index entry."""
RECORD_FILL_PERCENT: Final = 60
"""A record is written once and changed twice: with room in its page, no index is touched again."""

record = Table(
    "record",
    metadata,
    row_id(),
    Column("batch_id", ID, nullable=False),
    Column("pipeline_id", ID, nullable=False),
    Column("generation", Integer(), nullable=False),
    Column("partition", Integer(), nullable=False),
    number("offset"),
    number("timestamp_ms"),
    words("source_name", nullable=True),
    words("destination"),
    words("remote_path"),
    words("name_key", nullable=True),
    number("size_bytes"),
    words("sha256"),
    *said(),
    words("judge_digest", nullable=True),
    words("part_path", nullable=True),
    Column("intent_attempt", Integer()),
    moment("intended_at"),
    words("outcome", nullable=True),
    words("receipt_how", nullable=True),
    moment("delivered_at"),
    refers_to("record.id", "duplicate_of", nullable=True),
    refers_to("gap.id", "gap_id", nullable=True),
    of_batch(),
    UniqueConstraint("batch_id", "partition", "offset"),
    check("position_valid", '"partition" >= 0 AND "offset" >= 0'),
    check("size_not_negative", "size_bytes >= 0"),
    check("sha256_hex", "length(sha256) = 64"),
    check("score_in_unit", "score IS NULL OR (0 <= score AND score <= 1)"),
    check(
        "outcome_known",
        "outcome IS NULL OR outcome IN ('delivered', 'duplicate', 'quarantined', 'gap')",
    ),
    check(
        "receipt_whole",
        "(receipt_how IS NULL) = (delivered_at IS NULL)"
        " AND (receipt_how IS NOT NULL) = (coalesce(outcome, '') = 'delivered')",
    ),
    check("duplicate_whole", "(duplicate_of IS NOT NULL) = (coalesce(outcome, '') = 'duplicate')"),
    check("gap_whole", "(gap_id IS NOT NULL) = (coalesce(outcome, '') = 'gap')"),
    check("delivered_by_intent", "coalesce(outcome, '') <> 'delivered' OR part_path IS NOT NULL"),
    check(
        "intent_whole",
        "(part_path IS NULL) = (intent_attempt IS NULL)"
        " AND (part_path IS NULL) = (intended_at IS NULL)",
    ),
    check(
        "part_is_not_final", "part_path IS NULL OR (part_path <> '' AND part_path <> remote_path)"
    ),
    check(
        "refused_holds_nothing",
        "coalesce(outcome, '') NOT IN ('quarantined', 'duplicate', 'gap')"
        " OR (part_path IS NULL AND name_key IS NULL)",
    ),
    sqlite_autoincrement=True,
    postgresql_with={"fillfactor": RECORD_FILL_PERCENT},
    comment="One image of one batch. `outcome` is one column: exactly one, or none yet.",
)
Index(
    NAME_INDEX,
    record.c.destination,
    record.c.name_key,
    unique=True,
    sqlite_where=record.c.name_key.is_not(None),
    postgresql_where=record.c.name_key.is_not(None),
)
Index(
    "ix_record_label",
    record.c.pipeline_id,
    record.c.label,
    record.c.generation,
    record.c.partition,
    record.c.offset,
    sqlite_where=record.c.label.is_not(None),
    postgresql_where=record.c.label.is_not(None),
)


def name_head() -> ColumnElement[str]:
    """Take a source name's beginning, compared by its bytes, as SQLite compares by default."""
    return collate(func.substr(record.c.source_name, 1, NAME_HEAD_CHARACTERS), "C")


Index("ix_record_source_name", record.c.pipeline_id, record.c.source_name).ddl_if(dialect="sqlite")
Index("ix_record_source_name", record.c.pipeline_id, name_head()).ddl_if(dialect="postgresql")
Index(
    "ix_record_duplicate_of",
    record.c.duplicate_of,
    sqlite_where=record.c.duplicate_of.is_not(None),
    postgresql_where=record.c.duplicate_of.is_not(None),
)

current = Table(
    "current",
    metadata,
    Column("pipeline_id", ID, primary_key=True, autoincrement=False),
    Column("generation", Integer(), primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    Column("offset", BigInteger(), primary_key=True, autoincrement=False),
    Column("record_id", ID, ForeignKey("record.id"), nullable=False, unique=True),
    sqlite_with_rowid=False,
    comment="The row that stands for an offset. The promise is stated over it.",
)

quarantine = Table(
    "quarantine",
    metadata,
    refers_to("record.id", "record_id", primary_key=True),
    words("stage"),
    words("reason"),
    words("detail"),
    moment("found_at", nullable=False),
    moment("held_until"),
    words("kept_copy", nullable=True),
    moment("resolved_at"),
    words("resolved_how", nullable=True),
    words("resolved_by", nullable=True),
    check("stage_known", "stage IN ('infer', 'deliver')"),
    check("reason_not_empty", "reason <> ''"),
    check(
        "resolution_whole",
        "(resolved_at IS NULL) = (resolved_how IS NULL)"
        " AND (resolved_at IS NULL) = (resolved_by IS NULL)",
    ),
    comment="Why a record is not delivered; until when Kafka holds its bytes; how it was resolved.",
)
Index(
    "ix_quarantine_open",
    quarantine.c.record_id,
    sqlite_where=quarantine.c.resolved_at.is_(None),
    postgresql_where=quarantine.c.resolved_at.is_(None),
)

sighting = Table(
    "sighting",
    metadata,
    refers_to("pipeline.id", "pipeline_id", primary_key=True),
    Column("generation", Integer(), primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    number("offset", primary_key=True, autoincrement=False),
    words("destination"),
    words("remote_path"),
    number("size_bytes"),
    words("sha256", nullable=True),
    moment("seen_at", nullable=False),
    check("sha256_hex", "sha256 IS NULL OR length(sha256) = 64"),
    sqlite_with_rowid=False,
    comment="A file under a final name that a recovery saw, of a record that the ledger forgot.",
)

kept_name = Table(
    "kept_name",
    metadata,
    words("destination", primary_key=True),
    words("name_key", primary_key=True),
    refers_to("pipeline.id", "pipeline_id"),
    Column("generation", Integer(), nullable=False),
    Column("partition", Integer(), nullable=False),
    number("offset"),
    words("sha256"),
    check("sha256_hex", "length(sha256) = 64"),
    sqlite_with_rowid=False,
    comment="The name of a record that was pruned: no other record may take it.",
)
