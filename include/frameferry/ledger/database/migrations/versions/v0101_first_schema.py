"""The first schema: every table of the ledger."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
_LAST_MOMENT_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: later timestamps are not moments."""
_MOMENT = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', record.timestamp_ms / 1000.0, 'unixepoch')",
    "postgresql": "to_timestamp(record.timestamp_ms / 1000.0)",
}


def upgrade() -> None:
    """Create the tables, the view for analysts, and the rule that actions stay."""
    _create_ledger()
    _create_login()
    _create_pipeline()
    _create_action()
    _create_gap()
    _create_kept_name()
    _create_progress()
    _create_replay()
    _create_sighting()
    _create_batch()
    _create_batch_range()
    _create_judging()
    _create_record()
    _create_tally()
    _create_current()
    _create_quarantine()
    _create_view(op.get_bind().dialect.name)
    _make_append_only()


def _create_ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("boot_id", sa.Text(), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint("epoch <> ''", name=op.f("ck_ledger_epoch_not_empty")),
        sa.CheckConstraint("id = 1", name=op.f("ck_ledger_one_row")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_ledger")),
        comment="One row: the epoch, new at every restore; on SQLite the host.",
    )


def _create_login() -> None:
    op.create_table(
        "login",
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("until", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("asks_alone", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.CheckConstraint(
            "(state = 'refused') = (reason IS NOT NULL)", name=op.f("ck_login_refused_has_reason")
        ),
        sa.CheckConstraint(
            "(state = 'trying') = (owner IS NOT NULL) AND (state = 'trying') = (until IS NOT NULL)",
            name=op.f("ck_login_trying_has_owner"),
        ),
        sa.CheckConstraint(
            "state IN ('free', 'trying', 'refused')", name=op.f("ck_login_state_known")
        ),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_login")),
        comment="Log-ins at a server by the digest of their connection: one attempt at a time.",
    )


def _create_pipeline() -> None:
    op.create_table(
        "pipeline",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("blocked_reason", sa.Text(), nullable=True),
        sa.Column("blocked_digest", sa.Text(), nullable=True),
        sa.Column("blocked_at", TIME, nullable=True),
        sa.Column("quarantine_counts_from", TIME, nullable=True),
        sa.Column("restored_at", TIME, nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.CheckConstraint(
            "(blocked_reason IS NULL) = (blocked_at IS NULL)",
            name=op.f("ck_pipeline_blocked_whole"),
        ),
        sa.CheckConstraint("generation >= 1", name=op.f("ck_pipeline_generation_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline")),
        sa.UniqueConstraint("name", name=op.f("uq_pipeline_name")),
        sqlite_autoincrement=True,
    )


def _create_action() -> None:
    op.create_table(
        "action",
        sa.Column("id", ID, nullable=False),
        sa.Column("done_at", TIME, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("pipeline_id", ID, nullable=True),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.CheckConstraint("who <> ''", name=op.f("ck_action_signed_by_name")),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipeline.id"], name=op.f("fk_action_pipeline_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_action")),
        comment="What people did by hand. Append-only, by trigger.",
        sqlite_autoincrement=True,
    )


def _create_gap() -> None:
    op.create_table(
        "gap",
        sa.Column("id", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("start_offset", sa.BigInteger(), nullable=False),
        sa.Column("end_offset", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("accepted_by", sa.Text(), nullable=True),
        sa.Column("accepted_at", TIME, nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "accepted_by IS NULL OR (accepted_by <> '' AND reason <> '')",
            name=op.f("ck_gap_signed_by_name"),
        ),
        sa.CheckConstraint(
            "(accepted_by IS NULL) = (accepted_at IS NULL) AND (accepted_by IS NULL) = (reason IS NULL)",
            name=op.f("ck_gap_signature_whole"),
        ),
        sa.CheckConstraint(
            "0 <= start_offset AND start_offset < end_offset", name=op.f("ck_gap_half_open")
        ),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipeline.id"], name=op.f("fk_gap_pipeline_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_gap")),
        sa.UniqueConstraint(
            "pipeline_id",
            "generation",
            "partition",
            "start_offset",
            name=op.f("uq_gap_pipeline_id_generation_partition_start_offset"),
        ),
        comment="Offsets lost to retention, truncation or re-creation: they hold back committed only.",
        sqlite_autoincrement=True,
    )


def _create_kept_name() -> None:
    op.create_table(
        "kept_name",
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_kept_name_sha256_hex")),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipeline.id"], name=op.f("fk_kept_name_pipeline_id")
        ),
        sa.PrimaryKeyConstraint("destination", "name_key", name=op.f("pk_kept_name")),
        comment="The name of a record that was pruned: no other record may take it.",
        sqlite_with_rowid=False,
    )


def _create_progress() -> None:
    op.create_table(
        "progress",
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("cluster_id", sa.Text(), nullable=False),
        sa.Column("topic_id", sa.Text(), nullable=False),
        sa.Column("planned_offset", sa.BigInteger(), nullable=False),
        sa.Column("committed_offset", sa.BigInteger(), nullable=False),
        sa.Column("leader_epoch", sa.BigInteger(), nullable=True),
        sa.Column("last_offset", sa.BigInteger(), nullable=True),
        sa.Column("last_sha256", sa.Text(), nullable=True),
        sa.Column("retired_at", TIME, nullable=True),
        sa.Column("start_offset", sa.BigInteger(), nullable=True),
        sa.Column("recovered_to", sa.BigInteger(), nullable=True),
        sa.Column("taken_to", sa.BigInteger(), nullable=True),
        sa.Column("looked_to", sa.BigInteger(), nullable=True),
        sa.CheckConstraint('"partition" >= 0', name=op.f("ck_progress_partition_valid")),
        sa.CheckConstraint(
            "(last_offset IS NULL) = (last_sha256 IS NULL)", name=op.f("ck_progress_last_whole")
        ),
        sa.CheckConstraint(
            "0 <= committed_offset AND committed_offset <= planned_offset",
            name=op.f("ck_progress_committed_below_planned"),
        ),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipeline.id"], name=op.f("fk_progress_pipeline_id")
        ),
        sa.PrimaryKeyConstraint("pipeline_id", "generation", "partition", name=op.f("pk_progress")),
        comment="The next offset to plan and to commit. A generation that was left behind is retired.",
    )
    op.create_index(
        "uq_progress_owner",
        "progress",
        ["cluster_id", "topic_id", "partition"],
        unique=True,
        sqlite_where=sa.text("retired_at IS NULL"),
        postgresql_where=sa.text("retired_at IS NULL"),
    )


def _create_replay() -> None:
    op.create_table(
        "replay",
        sa.Column("id", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("selection", sa.Text(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("asked_at", TIME, nullable=False),
        sa.CheckConstraint("mode IN ('redeliver', 'reinfer')", name=op.f("ck_replay_mode_known")),
        sa.CheckConstraint("selection <> ''", name=op.f("ck_replay_selection_not_empty")),
        sa.CheckConstraint("who <> ''", name=op.f("ck_replay_signed_by_name")),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipeline.id"], name=op.f("fk_replay_pipeline_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_replay")),
        sa.UniqueConstraint(
            "id", "pipeline_id", "generation", name=op.f("uq_replay_id_pipeline_id_generation")
        ),
        comment="What a person asked to be run again; open while a leaf of it is not committed.",
        sqlite_autoincrement=True,
    )


def _create_sighting() -> None:
    op.create_table(
        "sighting",
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("remote_path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("seen_at", TIME, nullable=False),
        sa.CheckConstraint(
            "sha256 IS NULL OR length(sha256) = 64", name=op.f("ck_sighting_sha256_hex")
        ),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipeline.id"], name=op.f("fk_sighting_pipeline_id")
        ),
        sa.PrimaryKeyConstraint(
            "pipeline_id", "generation", "partition", "offset", name=op.f("pk_sighting")
        ),
        comment="A file under a final name that a recovery saw, of a record that the ledger forgot.",
        sqlite_with_rowid=False,
    )


def _create_batch() -> None:
    op.create_table(
        "batch",
        sa.Column("id", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("replay_id", ID, nullable=True),
        sa.Column("parent_id", ID, nullable=True),
        sa.Column("root_id", ID, nullable=True),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("leased_until", TIME, nullable=True),
        sa.Column("config_digest", sa.Text(), nullable=False),
        sa.Column("judge_digest", sa.Text(), nullable=True),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("planned_at", TIME, nullable=False),
        sa.Column("inferred_at", TIME, nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("committed_at", TIME, nullable=True),
        sa.Column("split_at", TIME, nullable=True),
        sa.Column("infer_seconds", sa.Double(), nullable=True),
        sa.Column("loading_seconds", sa.Double(), nullable=True),
        sa.Column("deliver_seconds", sa.Double(), nullable=True),
        sa.Column("record_count", sa.BigInteger(), nullable=True),
        sa.Column("byte_count", sa.BigInteger(), nullable=True),
        sa.Column("charges", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("proofs", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("is_suspect", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("last_failure", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("remark", sa.Text(), nullable=True),
        sa.Column("retry_at", TIME, nullable=True),
        sa.Column("is_tallied", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("pruned_at", TIME, nullable=True),
        sa.CheckConstraint(
            "(kind = 'live' AND replay_id IS NULL) OR (kind = 'replay' AND replay_id IS NOT NULL)",
            name=op.f("ck_batch_kind_known"),
        ),
        sa.CheckConstraint(
            "(owner IS NULL) = (leased_until IS NULL)", name=op.f("ck_batch_lease_whole")
        ),
        sa.CheckConstraint(
            "attempt >= 0 AND charges >= 0", name=op.f("ck_batch_counters_not_negative")
        ),
        sa.CheckConstraint(
            "committed_at IS NULL OR delivered_at IS NOT NULL",
            name=op.f("ck_batch_delivered_before_committed"),
        ),
        sa.CheckConstraint(
            "delivered_at IS NULL OR inferred_at IS NOT NULL",
            name=op.f("ck_batch_inferred_before_delivered"),
        ),
        sa.CheckConstraint(
            "split_at IS NULL OR (delivered_at IS NULL AND committed_at IS NULL)",
            name=op.f("ck_batch_split_is_final"),
        ),
        sa.ForeignKeyConstraint(["parent_id"], ["batch.id"], name=op.f("fk_batch_parent_id")),
        sa.ForeignKeyConstraint(
            ["pipeline_id"], ["pipeline.id"], name=op.f("fk_batch_pipeline_id")
        ),
        sa.ForeignKeyConstraint(
            ["replay_id", "pipeline_id", "generation"],
            ["replay.id", "replay.pipeline_id", "replay.generation"],
            name=op.f("fk_batch_replay_id_pipeline_id_generation"),
        ),
        sa.ForeignKeyConstraint(["root_id"], ["batch.id"], name=op.f("fk_batch_root_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
        sa.UniqueConstraint(
            "id", "pipeline_id", "generation", name=op.f("uq_batch_id_pipeline_id_generation")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_batch_open",
        "batch",
        ["pipeline_id", "generation", "id"],
        unique=False,
        sqlite_where=sa.text("committed_at IS NULL AND split_at IS NULL"),
        postgresql_where=sa.text("committed_at IS NULL AND split_at IS NULL"),
    )
    op.create_index("ix_batch_parent", "batch", ["parent_id"], unique=False)
    op.create_index("ix_batch_pipeline", "batch", ["pipeline_id", "id"], unique=False)
    op.create_index(
        "ix_batch_replay",
        "batch",
        ["replay_id"],
        unique=False,
        sqlite_where=sa.text("replay_id IS NOT NULL"),
        postgresql_where=sa.text("replay_id IS NOT NULL"),
    )
    op.create_index("ix_batch_root", "batch", ["root_id"], unique=False)
    op.create_index(
        "ix_batch_untallied",
        "batch",
        ["pipeline_id"],
        unique=False,
        sqlite_where=sa.text("NOT is_tallied"),
        postgresql_where=sa.text("NOT is_tallied"),
    )


def _create_batch_range() -> None:
    op.create_table(
        "batch_range",
        sa.Column("batch_id", ID, autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("start_offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("end_offset", sa.BigInteger(), nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("is_live_root", sa.Boolean(), nullable=False),
        sa.Column("seen_to", sa.BigInteger(), nullable=True),
        sa.Column("seen_from", sa.BigInteger(), nullable=True),
        sa.Column("record_count", sa.BigInteger(), nullable=True),
        sa.Column("offsets_digest", sa.Text(), nullable=True),
        sa.CheckConstraint('"partition" >= 0', name=op.f("ck_batch_range_partition_valid")),
        sa.CheckConstraint(
            "(seen_to IS NULL AND record_count IS NULL AND offsets_digest IS NULL) OR (seen_to IS NOT NULL AND record_count IS NOT NULL AND offsets_digest IS NOT NULL AND seen_to >= end_offset AND record_count >= 0)",
            name=op.f("ck_batch_range_census_whole"),
        ),
        sa.CheckConstraint(
            "0 <= start_offset AND start_offset < end_offset", name=op.f("ck_batch_range_half_open")
        ),
        sa.ForeignKeyConstraint(
            ["batch_id", "pipeline_id", "generation"],
            ["batch.id", "batch.pipeline_id", "batch.generation"],
            name=op.f("fk_batch_range_batch_id_pipeline_id_generation"),
        ),
        sa.PrimaryKeyConstraint(
            "batch_id", "partition", "start_offset", name=op.f("pk_batch_range")
        ),
        comment="Frozen ranges [start, end), with the census that deliver took of each.",
    )
    op.create_index(
        "uq_batch_range_live_root",
        "batch_range",
        ["pipeline_id", "generation", "partition", "start_offset"],
        unique=True,
        sqlite_where=sa.text("is_live_root"),
        postgresql_where=sa.text("is_live_root"),
    )


def _create_judging() -> None:
    op.create_table(
        "judging",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("is_alone", sa.Boolean(), nullable=False),
        sa.Column("has_begun", sa.Boolean(), nullable=False),
        sa.Column("had_company", sa.Boolean(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_judging_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_judging")),
        comment="Judge jobs on a shared Spark server, under leases: who had company, who must not.",
    )
    op.create_index("ix_judging_server", "judging", ["server"], unique=False)


def _create_record() -> None:
    op.create_table(
        "record",
        sa.Column("id", ID, nullable=False),
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("pipeline_id", ID, nullable=False),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("source_name", sa.Text(), nullable=True),
        sa.Column("destination", sa.Text(), nullable=False),
        sa.Column("remote_path", sa.Text(), nullable=False),
        sa.Column("name_key", sa.Text(), nullable=True),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("score", sa.Double(), nullable=True),
        sa.Column("outputs", sa.Text(), nullable=True),
        sa.Column("judge_digest", sa.Text(), nullable=True),
        sa.Column("part_path", sa.Text(), nullable=True),
        sa.Column("intent_attempt", sa.Integer(), nullable=True),
        sa.Column("intended_at", TIME, nullable=True),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("receipt_how", sa.Text(), nullable=True),
        sa.Column("delivered_at", TIME, nullable=True),
        sa.Column("duplicate_of", ID, nullable=True),
        sa.Column("gap_id", ID, nullable=True),
        sa.CheckConstraint(
            "(duplicate_of IS NOT NULL) = (coalesce(outcome, '') = 'duplicate')",
            name=op.f("ck_record_duplicate_whole"),
        ),
        sa.CheckConstraint(
            "(gap_id IS NOT NULL) = (coalesce(outcome, '') = 'gap')",
            name=op.f("ck_record_gap_whole"),
        ),
        sa.CheckConstraint(
            "(receipt_how IS NULL) = (delivered_at IS NULL) AND (receipt_how IS NOT NULL) = (coalesce(outcome, '') = 'delivered')",
            name=op.f("ck_record_receipt_whole"),
        ),
        sa.CheckConstraint(
            "coalesce(outcome, '') <> 'delivered' OR part_path IS NOT NULL",
            name=op.f("ck_record_delivered_by_intent"),
        ),
        sa.CheckConstraint(
            "coalesce(outcome, '') NOT IN ('quarantined', 'duplicate', 'gap') OR (part_path IS NULL AND name_key IS NULL)",
            name=op.f("ck_record_refused_holds_nothing"),
        ),
        sa.CheckConstraint(
            "outcome IS NULL OR outcome IN ('delivered', 'duplicate', 'quarantined', 'gap')",
            name=op.f("ck_record_outcome_known"),
        ),
        sa.CheckConstraint(
            "part_path IS NULL OR (part_path <> '' AND part_path <> remote_path)",
            name=op.f("ck_record_part_is_not_final"),
        ),
        sa.CheckConstraint(
            '"partition" >= 0 AND "offset" >= 0', name=op.f("ck_record_position_valid")
        ),
        sa.CheckConstraint(
            "(part_path IS NULL) = (intent_attempt IS NULL) AND (part_path IS NULL) = (intended_at IS NULL)",
            name=op.f("ck_record_intent_whole"),
        ),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_record_sha256_hex")),
        sa.CheckConstraint(
            "score IS NULL OR (0 <= score AND score <= 1)", name=op.f("ck_record_score_in_unit")
        ),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_record_size_not_negative")),
        sa.ForeignKeyConstraint(
            ["batch_id", "pipeline_id", "generation"],
            ["batch.id", "batch.pipeline_id", "batch.generation"],
            name=op.f("fk_record_batch_id_pipeline_id_generation"),
        ),
        sa.ForeignKeyConstraint(
            ["duplicate_of"], ["record.id"], name=op.f("fk_record_duplicate_of")
        ),
        sa.ForeignKeyConstraint(["gap_id"], ["gap.id"], name=op.f("fk_record_gap_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_record")),
        sa.UniqueConstraint(
            "batch_id", "partition", "offset", name=op.f("uq_record_batch_id_partition_offset")
        ),
        comment="One image of one batch. `outcome` is one column: exactly one, or none yet.",
        postgresql_with={"fillfactor": 60},
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_record_duplicate_of",
        "record",
        ["duplicate_of"],
        unique=False,
        sqlite_where=sa.text("duplicate_of IS NOT NULL"),
        postgresql_where=sa.text("duplicate_of IS NOT NULL"),
    )
    op.create_index(
        "ix_record_label",
        "record",
        ["pipeline_id", "label", "generation", "partition", "offset"],
        unique=False,
        sqlite_where=sa.text("label IS NOT NULL"),
        postgresql_where=sa.text("label IS NOT NULL"),
    )
    _index_source_names()
    op.create_index(
        "uq_record_name",
        "record",
        ["destination", "name_key"],
        unique=True,
        sqlite_where=sa.text("name_key IS NOT NULL"),
        postgresql_where=sa.text("name_key IS NOT NULL"),
    )


def _create_tally() -> None:
    op.create_table(
        "tally",
        sa.Column("batch_id", ID, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_tally_number_positive")),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_tally_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "outcome", "label", name=op.f("pk_tally")),
        comment="Standing rows of a committed batch, counted once; '' is no label. Outlives pruning.",
        sqlite_with_rowid=False,
    )


def _create_current() -> None:
    op.create_table(
        "current",
        sa.Column("pipeline_id", ID, autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("partition", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("offset", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("record_id", ID, nullable=False),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_current_record_id")),
        sa.PrimaryKeyConstraint(
            "pipeline_id", "generation", "partition", "offset", name=op.f("pk_current")
        ),
        sa.UniqueConstraint("record_id", name=op.f("uq_current_record_id")),
        comment="The row that stands for an offset. The promise is stated over it.",
        sqlite_with_rowid=False,
    )


def _create_quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("record_id", ID, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("found_at", TIME, nullable=False),
        sa.Column("held_until", TIME, nullable=True),
        sa.Column("kept_copy", sa.Text(), nullable=True),
        sa.Column("resolved_at", TIME, nullable=True),
        sa.Column("resolved_how", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.CheckConstraint("reason <> ''", name=op.f("ck_quarantine_reason_not_empty")),
        sa.CheckConstraint("stage IN ('infer', 'deliver')", name=op.f("ck_quarantine_stage_known")),
        sa.CheckConstraint(
            "(resolved_at IS NULL) = (resolved_how IS NULL) AND (resolved_at IS NULL) = (resolved_by IS NULL)",
            name=op.f("ck_quarantine_resolution_whole"),
        ),
        sa.ForeignKeyConstraint(["record_id"], ["record.id"], name=op.f("fk_quarantine_record_id")),
        sa.PrimaryKeyConstraint("record_id", name=op.f("pk_quarantine")),
        comment="Why a record is not delivered; until when Kafka holds its bytes; how it was resolved.",
    )
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["record_id"],
        unique=False,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )


def _index_source_names() -> None:
    """Index source names; PostgreSQL limits an entry's length, so only their beginnings there."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    name = "source_name" if is_sqlite else sa.text('(substr(source_name, 1, 64) COLLATE "C")')
    op.create_index("ix_record_source_name", "record", ["pipeline_id", name])


def _create_view(dialect: str) -> None:
    op.execute(
        f"""
        CREATE VIEW predictions AS
        SELECT pipeline.name AS pipeline,
               pipeline.topic AS topic,
               current."partition" AS "partition",
               current."offset" AS "offset",
               CASE WHEN record.timestamp_ms BETWEEN 0 AND {_LAST_MOMENT_MS}
                    THEN {_MOMENT[dialect]} END AS "timestamp",
               record.source_name AS name,
               record.size_bytes AS size_bytes,
               record.sha256 AS sha256,
               record.label AS label,
               record.score AS score,
               record.outputs AS outputs,
               record.judge_digest AS model_digest,
               record.remote_path AS remote_path,
               record.outcome AS outcome,
               quarantine.reason AS reason,
               record.delivered_at AS delivered_at,
               record.batch_id AS batch,
               current.generation AS generation
        FROM current
        JOIN record ON record.id = current.record_id
        JOIN pipeline ON pipeline.id = current.pipeline_id
        LEFT JOIN quarantine
               ON quarantine.record_id = record.id AND quarantine.resolved_at IS NULL
        """  # noqa: S608 - our own constants
    )


def _make_append_only() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER action_no_{verb.lower()} BEFORE {verb} ON action "
                "BEGIN SELECT RAISE(ABORT, 'action is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION action_refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'action is append-only' USING ERRCODE = '23000'; END $$"
    )
    op.execute(
        "CREATE TRIGGER action_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON action "
        "FOR EACH STATEMENT EXECUTE FUNCTION action_refuse_change()"
    )
