"""What a failed judging leaves behind: failures, proofs, company; where reads began."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Add columns with defaults, and the table of judge jobs under way."""
    _count("failures")
    _count("proofs")
    op.add_column(
        "batch", sa.Column("is_suspect", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    op.add_column("batch", sa.Column("last_failure", sa.Text(), nullable=True))
    op.add_column("batch_range", sa.Column("seen_from", sa.BigInteger(), nullable=True))
    op.add_column("progress", sa.Column("start_offset", sa.BigInteger(), nullable=True))
    op.add_column("pipeline", sa.Column("quarantine_counts_from", TIME, nullable=True))
    op.create_table(
        "judging",
        sa.Column("batch_id", ID, autoincrement=False, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("server", sa.Text(), nullable=False),
        sa.Column("is_alone", sa.Boolean(), nullable=False),
        sa.Column("has_begun", sa.Boolean(), nullable=False),
        sa.Column("had_company", sa.Boolean(), nullable=False),
        sa.Column("until", TIME, nullable=False),
        sa.ForeignKeyConstraint(
            ["batch_id"], ["batch.id"], name=op.f("fk_judging_batch_id")
        ),
        sa.PrimaryKeyConstraint("batch_id", name=op.f("pk_judging")),
        comment="Judge jobs on a shared Spark server, under leases: who had company, who must not.",
    )
    op.create_index("ix_judging_server", "judging", ["server"])


def _count(name: str) -> None:
    column = sa.Column(name, sa.Integer(), server_default=sa.text("0"), nullable=False)
    op.add_column("batch", column)
