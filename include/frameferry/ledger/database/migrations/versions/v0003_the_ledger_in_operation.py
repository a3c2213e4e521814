"""What operation needs: totals, sightings, kept names, and the view for those who analyse."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")
_LAST_MOMENT_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: later timestamps are no moments."""
_MOMENT = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', record.timestamp_ms / 1000.0, 'unixepoch')",
    "postgresql": "to_timestamp(record.timestamp_ms / 1000.0)",
}


def upgrade() -> None:
    """Add columns that may be empty, three tables, two indexes and the view."""
    op.add_column("pipeline", sa.Column("restored_at", TIME, nullable=True))
    op.add_column("progress", sa.Column("recovered_to", sa.BigInteger(), nullable=True))
    op.add_column("progress", sa.Column("taken_to", sa.BigInteger(), nullable=True))
    op.add_column(
        "batch", sa.Column("is_tallied", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("batch", sa.Column("pruned_at", TIME, nullable=True))
    _create_indexes()
    _create_tally()
    _create_sighting()
    _create_kept_name()
    _create_view(op.get_bind().dialect.name)


def _create_indexes() -> None:
    untallied, unresolved = sa.text("NOT is_tallied"), sa.text("resolved_at IS NULL")
    op.create_index("ix_batch_root", "batch", ["root_id"])
    op.create_index(
        "ix_batch_untallied",
        "batch",
        ["pipeline_id"],
        sqlite_where=untallied,
        postgresql_where=untallied,
    )
    op.create_index(
        "ix_quarantine_open",
        "quarantine",
        ["record_id"],
        sqlite_where=unresolved,
        postgresql_where=unresolved,
    )


def _create_tally() -> None:
    op.create_table(
        "tally",
        sa.Column("batch_id", ID, autoincrement=False, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_tally_number_positive")),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_tally_batch_id")),
        sa.PrimaryKeyConstraint("batch_id", "outcome", "label", name=op.f("pk_tally")),
        comment="Standing rows of a committed batch, counted once; '' is no label. "
        "Outlives pruning.",
        sqlite_with_rowid=False,
    )


def _create_sighting() -> None:
    op.create_table(
        "sighting",
        sa.Column("pipeline_id", ID, autoincrement=False, nullable=False),
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
        comment="A file under a final name that a recovery saw, of a record that the ledger "
        "forgot.",
        sqlite_with_rowid=False,
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
