"""
What is between us and the server.

Up to where a recovery did not see all, so that a file is looked for by its name; whether data
addresses are asked for alone; and what the judge remarks on most pictures of a batch.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add three columns."""
    op.add_column("batch", sa.Column("remark", sa.Text(), nullable=True))
    op.add_column("progress", sa.Column("looked_to", sa.BigInteger(), nullable=True))
    op.add_column(
        "login", sa.Column("asks_alone", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
