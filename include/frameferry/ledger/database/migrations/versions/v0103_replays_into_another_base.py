"""Replays that put copies below another base folder."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0103"
down_revision = "0102"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "replay_base",
        sa.Column("replay_id", ID, nullable=False),
        sa.Column("base", sa.Text(), nullable=False),
        sa.CheckConstraint("base <> ''", name=op.f("ck_replay_base_base_not_empty")),
        sa.ForeignKeyConstraint(
            ["replay_id"], ["replay.id"], name=op.f("fk_replay_base_replay_id")
        ),
        sa.PrimaryKeyConstraint("replay_id", name=op.f("pk_replay_base")),
        comment="Another base folder that a replay puts copies below: its rows never stand.",
    )
