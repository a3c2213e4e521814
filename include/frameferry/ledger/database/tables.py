"""
The ledger's tables. Each rule that must hold is a constraint here, not a habit of the code.

Partial unique indexes work on SQLite and PostgreSQL alike. State is derived from timestamps, which
are tested for NULL and never compared with each other. Ids are never used twice.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    collate,
    false,
    func,
    text,
)
from sqlalchemy.types import TypeEngine

from frameferry.ledger.database.clock import UtcTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

NAME_INDEX: Final = "uq_record_name"
"""One holder a name: the one index that rivals may run into without a mistake."""
NAME_HEAD_CHARACTERS: Final = 64
"""How far PostgreSQL's index of source names looks: a name may be longer than an index entry."""
RECORD_FILL_PERCENT: Final = 60
"""A record is written once and changed twice: with room in its page, no index is touched again."""
_ID: TypeEngine[int] = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite makes row ids of INTEGER columns only."""


def _id() -> Column[int]:
    return Column("id", _ID, primary_key=True)


def _to(
    target: str, name: str, *, nullable: bool = False, primary_key: bool = False
) -> Column[int]:
    return Column(name, _ID, ForeignKey(target), nullable=nullable, primary_key=primary_key)


def _of_batch() -> ForeignKeyConstraint:
    """Tie a row to its batch, and to the batch's pipeline and generation: they cannot differ."""
    columns = ["pipeline_id", "generation"]
    return ForeignKeyConstraint(
        ["batch_id", *columns], ["batch.id", *(f"batch.{column}" for column in columns)]
    )


def _number(name: str, **options: Any) -> Column[int]:  # noqa: ANN401 - Column's own options
    return Column(name, BigInteger(), **{"nullable": False, **options})


def _text(name: str, **options: Any) -> Column[str]:  # noqa: ANN401 - Column's own options
    return Column(name, Text(), **{"nullable": False, **options})


def _time(name: str, **options: Any) -> Column[Any]:  # noqa: ANN401 - Column's own options
    return Column(name, UtcTime(), **{"nullable": True, **options})


def _check(name: str, sql: str) -> CheckConstraint:
    return CheckConstraint(sql, name=name)


ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer(), primary_key=True, autoincrement=False),
    _text("epoch"),
    _text("host", nullable=True),
    _text("boot_id", nullable=True),
    _time("created_at", nullable=False),
    _check("one_row", "id = 1"),
    _check("epoch_not_empty", "epoch <> ''"),
    comment="One row: the epoch, new at every restore; on SQLite the host.",
)

pipeline = Table(
    "pipeline",
    metadata,
    _id(),
    _text("name", unique=True),
    _text("cluster_id"),
    _text("topic"),
    _text("topic_id"),
    Column("generation", Integer(), nullable=False),
    _text("blocked_reason", nullable=True),
    _text("blocked_digest", nullable=True),
    _time("blocked_at"),
    _time("quarantine_counts_from"),
    _time("restored_at"),
    _time("created_at", nullable=False),
    _check("generation_positive", "generation >= 1"),
    _check("blocked_whole", "(blocked_reason IS NULL) = (blocked_at IS NULL)"),
    sqlite_autoincrement=True,
)

progress = Table(
    "progress",
    metadata,
    _to("pipeline.id", "pipeline_id", primary_key=True),
    Column("generation", Integer(), primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    _text("cluster_id"),
    _text("topic_id"),
    _number("planned_offset"),
    _number("committed_offset"),
    _number("leader_epoch", nullable=True),
    _number("last_offset", nullable=True),
    _text("last_sha256", nullable=True),
    _time("retired_at"),
    _number("start_offset", nullable=True),
    _number("recovered_to", nullable=True),
    _number("taken_to", nullable=True),
    _number("looked_to", nullable=True),
    _check("partition_valid", '"partition" >= 0'),
    _check(
        "committed_below_planned", "0 <= committed_offset AND committed_offset <= planned_offset"
    ),
    _check("last_whole", "(last_offset IS NULL) = (last_sha256 IS NULL)"),
    comment="The next offset to plan and to commit. A generation that was left behind is retired.",
)
Index(
    "uq_progress_owner",
    progress.c.cluster_id,
    progress.c.topic_id,
    progress.c.partition,
    unique=True,
    sqlite_where=progress.c.retired_at.is_(None),
    postgresql_where=progress.c.retired_at.is_(None),
)

batch = Table(
    "batch",
    metadata,
    _id(),
    _to("pipeline.id", "pipeline_id"),
    Column("generation", Integer(), nullable=False),
    _text("kind"),
    _text("mode", nullable=True),
    _to("batch.id", "parent_id", nullable=True),
    _to("batch.id", "root_id", nullable=True),
    Column("attempt", Integer(), nullable=False),
    _text("owner", nullable=True),
    _time("leased_until"),
    _text("config_digest"),
    _text("judge_digest", nullable=True),
    _text("sentence"),
    _time("planned_at", nullable=False),
    _time("inferred_at"),
    _time("delivered_at"),
    _time("committed_at"),
    _time("split_at"),
    Column("infer_seconds", Double()),
    Column("loading_seconds", Double()),
    Column("deliver_seconds", Double()),
    _number("record_count", nullable=True),
    _number("byte_count", nullable=True),
    Column("charges", Integer(), nullable=False),
    Column("failures", Integer(), nullable=False, server_default=text("0")),
    Column("proofs", Integer(), nullable=False, server_default=text("0")),
    Column("is_suspect", Boolean(), nullable=False, server_default=false()),
    _text("last_failure", nullable=True),
    _text("last_error", nullable=True),
    _text("remark", nullable=True),
    _time("retry_at"),
    Column("is_tallied", Boolean(), nullable=False, server_default=false()),
    _time("pruned_at"),
    UniqueConstraint("id", "pipeline_id", "generation"),
    _check(
        "kind_and_mode_known",
        "(kind = 'live' AND mode IS NULL)"
        " OR (kind = 'replay' AND mode IS NOT NULL AND mode IN ('redeliver', 'reinfer'))",
    ),
    _check("counters_not_negative", "attempt >= 0 AND charges >= 0"),
    _check("lease_whole", "(owner IS NULL) = (leased_until IS NULL)"),
    _check("inferred_before_delivered", "delivered_at IS NULL OR inferred_at IS NOT NULL"),
    _check("delivered_before_committed", "committed_at IS NULL OR delivered_at IS NOT NULL"),
    _check("split_is_final", "split_at IS NULL OR (delivered_at IS NULL AND committed_at IS NULL)"),
    sqlite_autoincrement=True,
)
Index("ix_batch_pipeline", batch.c.pipeline_id, batch.c.id)
Index("ix_batch_parent", batch.c.parent_id)
Index("ix_batch_root", batch.c.root_id)
Index(
    "ix_batch_open",
    batch.c.pipeline_id,
    batch.c.generation,
    batch.c.id,
    sqlite_where=batch.c.committed_at.is_(None) & batch.c.split_at.is_(None),
    postgresql_where=batch.c.committed_at.is_(None) & batch.c.split_at.is_(None),
)
Index(
    "ix_batch_untallied",
    batch.c.pipeline_id,
    sqlite_where=text("NOT is_tallied"),
    postgresql_where=text("NOT is_tallied"),
)

batch_range = Table(
    "batch_range",
    metadata,
    Column("batch_id", _ID, primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    Column("start_offset", BigInteger(), primary_key=True, autoincrement=False),
    _number("end_offset"),
    Column("pipeline_id", _ID, nullable=False),
    Column("generation", Integer(), nullable=False),
    Column("is_live_root", Boolean(), nullable=False),
    _number("seen_to", nullable=True),
    _number("seen_from", nullable=True),
    _number("record_count", nullable=True),
    _text("offsets_digest", nullable=True),
    _of_batch(),
    _check("half_open", "0 <= start_offset AND start_offset < end_offset"),
    _check("partition_valid", '"partition" >= 0'),
    _check(
        "census_whole",
        "(seen_to IS NULL AND record_count IS NULL AND offsets_digest IS NULL)"
        " OR (seen_to IS NOT NULL AND record_count IS NOT NULL AND offsets_digest IS NOT NULL"
        " AND seen_to >= end_offset AND record_count >= 0)",
    ),
    comment="Frozen ranges [start, end), with the census that deliver took of each.",
)
Index(
    "uq_batch_range_live_root",
    batch_range.c.pipeline_id,
    batch_range.c.generation,
    batch_range.c.partition,
    batch_range.c.start_offset,
    unique=True,
    sqlite_where=text("is_live_root"),
    postgresql_where=text("is_live_root"),
)

gap = Table(
    "gap",
    metadata,
    _id(),
    _to("pipeline.id", "pipeline_id"),
    Column("generation", Integer(), nullable=False),
    Column("partition", Integer(), nullable=False),
    _number("start_offset"),
    _number("end_offset"),
    _text("cause"),
    _time("found_at", nullable=False),
    _text("accepted_by", nullable=True),
    _time("accepted_at"),
    _text("reason", nullable=True),
    UniqueConstraint("pipeline_id", "generation", "partition", "start_offset"),
    _check("half_open", "0 <= start_offset AND start_offset < end_offset"),
    _check(
        "signature_whole",
        "(accepted_by IS NULL) = (accepted_at IS NULL)"
        " AND (accepted_by IS NULL) = (reason IS NULL)",
    ),
    _check("signed_by_name", "accepted_by IS NULL OR (accepted_by <> '' AND reason <> '')"),
    sqlite_autoincrement=True,
    comment="Offsets lost to retention, truncation or re-creation: they hold back committed only.",
)

record = Table(
    "record",
    metadata,
    _id(),
    Column("batch_id", _ID, nullable=False),
    Column("pipeline_id", _ID, nullable=False),
    Column("generation", Integer(), nullable=False),
    Column("partition", Integer(), nullable=False),
    _number("offset"),
    _number("timestamp_ms"),
    _text("source_name", nullable=True),
    _text("destination"),
    _text("remote_path"),
    _text("name_key", nullable=True),
    _number("size_bytes"),
    _text("sha256"),
    _text("label", nullable=True),
    Column("score", Double()),
    _text("outputs", nullable=True),
    _text("judge_digest", nullable=True),
    _text("part_path", nullable=True),
    Column("intent_attempt", Integer()),
    _time("intended_at"),
    _text("outcome", nullable=True),
    _text("receipt_how", nullable=True),
    _time("delivered_at"),
    _to("record.id", "duplicate_of", nullable=True),
    _to("gap.id", "gap_id", nullable=True),
    _of_batch(),
    UniqueConstraint("batch_id", "partition", "offset"),
    _check("position_valid", '"partition" >= 0 AND "offset" >= 0'),
    _check("size_not_negative", "size_bytes >= 0"),
    _check("sha256_hex", "length(sha256) = 64"),
    _check("score_in_unit", "score IS NULL OR (0 <= score AND score <= 1)"),
    _check(
        "outcome_known",
        "outcome IS NULL OR outcome IN ('delivered', 'duplicate', 'quarantined', 'gap')",
    ),
    _check(
        "receipt_whole",
        "(receipt_how IS NULL) = (delivered_at IS NULL)"
        " AND (receipt_how IS NOT NULL) = (coalesce(outcome, '') = 'delivered')",
    ),
    _check("duplicate_whole", "(duplicate_of IS NOT NULL) = (coalesce(outcome, '') = 'duplicate')"),
    _check("gap_whole", "(gap_id IS NOT NULL) = (coalesce(outcome, '') = 'gap')"),
    _check("delivered_by_intent", "coalesce(outcome, '') <> 'delivered' OR part_path IS NOT NULL"),
    _check(
        "intent_whole",
        "(part_path IS NULL) = (intent_attempt IS NULL)"
        " AND (part_path IS NULL) = (intended_at IS NULL)",
    ),
    _check(
        "part_is_not_final", "part_path IS NULL OR (part_path <> '' AND part_path <> remote_path)"
    ),
    _check(
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
    """Take the beginning of a source name, compared by its bytes, as SQLite does by itself."""
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
    Column("pipeline_id", _ID, primary_key=True, autoincrement=False),
    Column("generation", Integer(), primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    Column("offset", BigInteger(), primary_key=True, autoincrement=False),
    Column("record_id", _ID, ForeignKey("record.id"), nullable=False, unique=True),
    sqlite_with_rowid=False,
    comment="The row that stands for an offset. The promise is stated over it.",
)

quarantine = Table(
    "quarantine",
    metadata,
    _to("record.id", "record_id", primary_key=True),
    _text("stage"),
    _text("reason"),
    _text("detail"),
    _time("found_at", nullable=False),
    _time("held_until"),
    _text("kept_copy", nullable=True),
    _time("resolved_at"),
    _text("resolved_how", nullable=True),
    _text("resolved_by", nullable=True),
    _check("stage_known", "stage IN ('infer', 'deliver')"),
    _check("reason_not_empty", "reason <> ''"),
    _check(
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

action = Table(
    "action",
    metadata,
    _id(),
    _time("done_at", nullable=False),
    _text("who"),
    _text("what"),
    _to("pipeline.id", "pipeline_id", nullable=True),
    _text("detail"),
    _check("signed_by_name", "who <> ''"),
    sqlite_autoincrement=True,
    comment="What people did by hand. Append-only, by trigger.",
)

login = Table(
    "login",
    metadata,
    _text("digest", primary_key=True),
    _text("state"),
    _text("owner", nullable=True),
    _time("until"),
    _text("reason", nullable=True),
    Column("asks_alone", Boolean(), nullable=False, server_default=false()),
    _check("state_known", "state IN ('free', 'trying', 'refused')"),
    _check(
        "trying_has_owner",
        "(state = 'trying') = (owner IS NOT NULL) AND (state = 'trying') = (until IS NOT NULL)",
    ),
    _check("refused_has_reason", "(state = 'refused') = (reason IS NOT NULL)"),
    comment="Log-ins at a server by the digest of their connection: one attempt at a time.",
)

judging = Table(
    "judging",
    metadata,
    _to("batch.id", "batch_id", primary_key=True),
    Column("attempt", Integer(), nullable=False),
    _text("server"),
    Column("is_alone", Boolean(), nullable=False),
    Column("has_begun", Boolean(), nullable=False),
    Column("had_company", Boolean(), nullable=False),
    _time("until", nullable=False),
    comment="Judge jobs on a shared Spark server, under leases: who had company, who must not.",
)
Index("ix_judging_server", judging.c.server)
