"""Tables of the ledger's upkeep: totals of what ended, files seen, names of what was pruned."""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Column, ForeignKey, Integer, Table, Text

from frameferry.ledger.database.clock import UtcTime
from frameferry.ledger.database.tables import metadata

_ID = BigInteger().with_variant(Integer(), "sqlite")

tally = Table(
    "tally",
    metadata,
    Column("batch_id", _ID, ForeignKey("batch.id"), primary_key=True, autoincrement=False),
    Column("outcome", Text(), primary_key=True),
    Column("label", Text(), primary_key=True),
    Column("number", BigInteger(), nullable=False),
    CheckConstraint("number > 0", name="number_positive"),
    sqlite_with_rowid=False,
    comment="Standing rows of a committed batch, counted once; '' is no label. Outlives pruning.",
)

sighting = Table(
    "sighting",
    metadata,
    Column("pipeline_id", _ID, ForeignKey("pipeline.id"), primary_key=True, autoincrement=False),
    Column("generation", Integer(), primary_key=True, autoincrement=False),
    Column("partition", Integer(), primary_key=True, autoincrement=False),
    Column("offset", BigInteger(), primary_key=True, autoincrement=False),
    Column("destination", Text(), nullable=False),
    Column("remote_path", Text(), nullable=False),
    Column("size_bytes", BigInteger(), nullable=False),
    Column("sha256", Text(), nullable=True),
    Column("seen_at", UtcTime(), nullable=False),
    CheckConstraint("sha256 IS NULL OR length(sha256) = 64", name="sha256_hex"),
    sqlite_with_rowid=False,
    comment="A file under a final name that a recovery saw, of a record that the ledger forgot.",
)

kept_name = Table(
    "kept_name",
    metadata,
    Column("destination", Text(), primary_key=True),
    Column("name_key", Text(), primary_key=True),
    Column("pipeline_id", _ID, ForeignKey("pipeline.id"), nullable=False),
    Column("generation", Integer(), nullable=False),
    Column("partition", Integer(), nullable=False),
    Column("offset", BigInteger(), nullable=False),
    Column("sha256", Text(), nullable=False),
    CheckConstraint("length(sha256) = 64", name="sha256_hex"),
    sqlite_with_rowid=False,
    comment="The name of a record that was pruned: no other record may take it.",
)
