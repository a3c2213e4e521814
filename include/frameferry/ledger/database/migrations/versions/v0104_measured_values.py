"""What was measured of a picture, and in which unit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0104"
down_revision = "0103"
branch_labels = None
depends_on = None

_LAST_MOMENT_MS = 253_402_300_799_999
"""The last millisecond of the year 9999: later timestamps are not moments."""
_MOMENT = {
    "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', record.timestamp_ms / 1000.0, 'unixepoch')",
    "postgresql": "to_timestamp(record.timestamp_ms / 1000.0)",
}


def upgrade() -> None:
    """Add the columns, and put them behind the view's others."""
    op.add_column("record", sa.Column("value", sa.Double(), nullable=True))
    op.add_column("record", sa.Column("unit", sa.Text(), nullable=True))
    dialect = op.get_bind().dialect.name
    if dialect == "sqlite":
        op.execute("DROP VIEW predictions")
    _create_view(dialect)


def _create_view(dialect: str) -> None:
    # PostgreSQL's view is replaced and not dropped: who may read it stays so.
    verb = "CREATE" if dialect == "sqlite" else "CREATE OR REPLACE"
    op.execute(
        f"""
        {verb} VIEW predictions AS
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
               current.generation AS generation,
               record.value AS value,
               record.unit AS unit
        FROM current
        JOIN record ON record.id = current.record_id
        JOIN pipeline ON pipeline.id = current.pipeline_id
        LEFT JOIN quarantine
               ON quarantine.record_id = record.id AND quarantine.resolved_at IS NULL
        """  # noqa: S608 - our own constants
    )
