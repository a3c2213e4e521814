"""Replays that a person stopped."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0102"
down_revision = "0101"
branch_labels = None
depends_on = None

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True).with_variant(sa.Text(), "sqlite")


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "stopped_replay",
        sa.Column("replay_id", ID, nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("stopped_at", TIME, nullable=False),
        sa.CheckConstraint("who <> ''", name=op.f("ck_stopped_replay_signed_by_name")),
        sa.ForeignKeyConstraint(
            ["replay_id"], ["replay.id"], name=op.f("fk_stopped_replay_replay_id")
        ),
        sa.PrimaryKeyConstraint("replay_id", name=op.f("pk_stopped_replay")),
        comment="A replay that a person stopped: no batch of it is claimed until it is resumed.",
    )
