"""Tables of the ledger itself, its pipelines and how far they are, and of what people did."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Index, Integer, Table, UniqueConstraint, false

from frameferry.ledger.database.tables.columns import (
    check,
    metadata,
    moment,
    number,
    refers_to,
    row_id,
    words,
)

ledger = Table(
    "ledger",
    metadata,
    Column("id", Integer(), primary_key=True, autoincrement=False),
    words("epoch"),
    words("host", nullable=True),
    words("boot_id", nullable=True),
    moment("created_at", nullable=False),
    check("one_row", "id = 1"),
    check("epoch_not_empty", "epoch <> ''"),
    comment="One row: the epoch, new at every restore; on SQLite the host.",
)

pipeline = Table(
    "pipeline",
    metadata,
    row_id(),
    words("name", unique=True),
    words("cluster_id"),
    words("topic"),
    words("topic_id"),
    Column("generation", Integer(), nullable=False),
    words("blocked_reason", nullable=True),
    words("blocked_digest", nullable=True),
    moment("blocked_at"),
    moment("quarantine_counts_from"),
    moment("restored_at"),
    moment("created_at", nullable=False),
    check("generation_positive", "generation >= 1"),
    check("blocked_whole", "(blocked_reason IS NULL) = (blocked_at IS NULL)"),
    sqlite_autoincrement=True,
)

progress = Table(
    "progress",
    metadata,
    refers_to("pipeline.id", "pipeline_id", primary_key=True),
    Column("generation", Integer(), primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    words("cluster_id"),
    words("topic_id"),
    number("planned_offset"),
    number("committed_offset"),
    number("leader_epoch", nullable=True),
    number("last_offset", nullable=True),
    words("last_sha256", nullable=True),
    moment("retired_at"),
    number("start_offset", nullable=True),
    number("recovered_to", nullable=True),
    number("taken_to", nullable=True),
    number("looked_to", nullable=True),
    check("partition_valid", '"partition" >= 0'),
    check(
        "committed_below_planned", "0 <= committed_offset AND committed_offset <= planned_offset"
    ),
    check("last_whole", "(last_offset IS NULL) = (last_sha256 IS NULL)"),
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

gap = Table(
    "gap",
    metadata,
    row_id(),
    refers_to("pipeline.id", "pipeline_id"),
    Column("generation", Integer(), nullable=False),
    Column("partition", Integer(), nullable=False),
    number("start_offset"),
    number("end_offset"),
    words("cause"),
    moment("found_at", nullable=False),
    words("accepted_by", nullable=True),
    moment("accepted_at"),
    words("reason", nullable=True),
    UniqueConstraint("pipeline_id", "generation", "partition", "start_offset"),
    check("half_open", "0 <= start_offset AND start_offset < end_offset"),
    check(
        "signature_whole",
        "(accepted_by IS NULL) = (accepted_at IS NULL)"
        " AND (accepted_by IS NULL) = (reason IS NULL)",
    ),
    check("signed_by_name", "accepted_by IS NULL OR (accepted_by <> '' AND reason <> '')"),
    sqlite_autoincrement=True,
    comment="Offsets lost to retention, truncation or re-creation: they hold back committed only.",
)

action = Table(
    "action",
    metadata,
    row_id(),
    moment("done_at", nullable=False),
    words("who"),
    words("what"),
    refers_to("pipeline.id", "pipeline_id", nullable=True),
    words("detail"),
    check("signed_by_name", "who <> ''"),
    sqlite_autoincrement=True,
    comment="What people did by hand. Append-only, by trigger.",
)

login = Table(
    "login",
    metadata,
    words("digest", primary_key=True),
    words("state"),
    words("owner", nullable=True),
    moment("until"),
    words("reason", nullable=True),
    Column("asks_alone", Boolean(), nullable=False, server_default=false()),
    check("state_known", "state IN ('free', 'trying', 'refused')"),
    check(
        "trying_has_owner",
        "(state = 'trying') = (owner IS NOT NULL) AND (state = 'trying') = (until IS NOT NULL)",
    ),
    check("refused_has_reason", "(state = 'refused') = (reason IS NOT NULL)"),
    comment="Log-ins at a server by the digest of their connection: one attempt at a time.",
)
