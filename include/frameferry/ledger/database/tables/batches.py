"""Tables of batches: what was asked for, frozen, judged together, and counted."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    Table,
    UniqueConstraint,
    false,
    text,
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
    words,
)

replay = Table(
    "replay",
    metadata,
    row_id(),
    refers_to("pipeline.id", "pipeline_id"),
    Column("generation", Integer(), nullable=False),
    words("mode"),
    words("selection"),
    words("who"),
    moment("asked_at", nullable=False),
    UniqueConstraint("id", "pipeline_id", "generation"),
    check("mode_known", "mode IN ('redeliver', 'reinfer')"),
    check("selection_not_empty", "selection <> ''"),
    check("signed_by_name", "who <> ''"),
    sqlite_autoincrement=True,
    comment="What a person asked to be run again; open while a leaf of it is not committed.",
)

stopped_replay = Table(
    "stopped_replay",
    metadata,
    refers_to("replay.id", "replay_id", primary_key=True),
    words("who"),
    moment("stopped_at", nullable=False),
    check("signed_by_name", "who <> ''"),
    comment="A replay that a person stopped: no batch of it is claimed until it is resumed.",
)

replay_base = Table(
    "replay_base",
    metadata,
    refers_to("replay.id", "replay_id", primary_key=True),
    words("base"),
    check("base_not_empty", "base <> ''"),
    comment="Another base folder that a replay puts copies below: its rows never stand.",
)

batch = Table(
    "batch",
    metadata,
    row_id(),
    refers_to("pipeline.id", "pipeline_id"),
    Column("generation", Integer(), nullable=False),
    words("kind"),
    Column("replay_id", ID, nullable=True),
    refers_to("batch.id", "parent_id", nullable=True),
    refers_to("batch.id", "root_id", nullable=True),
    Column("attempt", Integer(), nullable=False),
    words("owner", nullable=True),
    moment("leased_until"),
    words("config_digest"),
    words("judge_digest", nullable=True),
    words("sentence"),
    moment("planned_at", nullable=False),
    moment("inferred_at"),
    moment("delivered_at"),
    moment("committed_at"),
    moment("split_at"),
    Column("infer_seconds", Double()),
    Column("loading_seconds", Double()),
    Column("deliver_seconds", Double()),
    number("record_count", nullable=True),
    number("byte_count", nullable=True),
    Column("charges", Integer(), nullable=False),
    Column("failures", Integer(), nullable=False, server_default=text("0")),
    Column("proofs", Integer(), nullable=False, server_default=text("0")),
    Column("is_suspect", Boolean(), nullable=False, server_default=false()),
    words("last_failure", nullable=True),
    words("last_error", nullable=True),
    words("remark", nullable=True),
    moment("retry_at"),
    Column("is_tallied", Boolean(), nullable=False, server_default=false()),
    moment("pruned_at"),
    UniqueConstraint("id", "pipeline_id", "generation"),
    ForeignKeyConstraint(
        ["replay_id", "pipeline_id", "generation"],
        ["replay.id", "replay.pipeline_id", "replay.generation"],
    ),
    check(
        "kind_known",
        "(kind = 'live' AND replay_id IS NULL) OR (kind = 'replay' AND replay_id IS NOT NULL)",
    ),
    check("counters_not_negative", "attempt >= 0 AND charges >= 0"),
    check("lease_whole", "(owner IS NULL) = (leased_until IS NULL)"),
    check("inferred_before_delivered", "delivered_at IS NULL OR inferred_at IS NOT NULL"),
    check("delivered_before_committed", "committed_at IS NULL OR delivered_at IS NOT NULL"),
    check("split_is_final", "split_at IS NULL OR (delivered_at IS NULL AND committed_at IS NULL)"),
    sqlite_autoincrement=True,
)
Index("ix_batch_pipeline", batch.c.pipeline_id, batch.c.id)
Index("ix_batch_parent", batch.c.parent_id)
Index("ix_batch_root", batch.c.root_id)
Index(
    "ix_batch_replay",
    batch.c.replay_id,
    sqlite_where=batch.c.replay_id.is_not(None),
    postgresql_where=batch.c.replay_id.is_not(None),
)
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
    Column("batch_id", ID, primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    Column("start_offset", BigInteger(), primary_key=True, autoincrement=False),
    number("end_offset"),
    Column("pipeline_id", ID, nullable=False),
    Column("generation", Integer(), nullable=False),
    Column("is_live_root", Boolean(), nullable=False),
    number("seen_to", nullable=True),
    number("seen_from", nullable=True),
    number("record_count", nullable=True),
    words("offsets_digest", nullable=True),
    of_batch(),
    check("half_open", "0 <= start_offset AND start_offset < end_offset"),
    check("partition_valid", '"partition" >= 0'),
    check(
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

judging = Table(
    "judging",
    metadata,
    refers_to("batch.id", "batch_id", primary_key=True),
    Column("attempt", Integer(), nullable=False),
    words("server"),
    Column("is_alone", Boolean(), nullable=False),
    Column("has_begun", Boolean(), nullable=False),
    Column("had_company", Boolean(), nullable=False),
    moment("until", nullable=False),
    comment="Judge jobs on a shared Spark server, under leases: who had company, who must not.",
)
Index("ix_judging_server", judging.c.server)

tally = Table(
    "tally",
    metadata,
    refers_to("batch.id", "batch_id", primary_key=True),
    words("outcome", primary_key=True),
    words("label", primary_key=True),
    number("number"),
    check("number_positive", "number > 0"),
    sqlite_with_rowid=False,
    comment="Standing rows of a committed batch, counted once; '' is no label. Outlives pruning.",
)
