"""Run migrations on the connection that `ledger.schema` hands over, in its transaction."""

from __future__ import annotations

from alembic import context

from frameferry.ledger.database.schema import VERSION_TABLE, schema_of
from frameferry.ledger.database.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    version_table_schema=schema_of(connection),
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
