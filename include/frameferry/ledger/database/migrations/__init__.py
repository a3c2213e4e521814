"""Alembic's scripts, run by `ledger.schema` only."""
