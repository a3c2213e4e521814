"""What of judging went by while workers loaded: a cold start is no pace."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column; of batches judged before it is not known."""
    op.add_column("batch", sa.Column("loading_seconds", sa.Double(), nullable=True))
