"""Up to where a recovery did not see all: there a file is looked for by its name."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column that may be empty."""
    op.add_column("progress", sa.Column("looked_to", sa.BigInteger(), nullable=True))
