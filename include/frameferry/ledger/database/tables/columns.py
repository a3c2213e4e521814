"""What the ledger's tables are made of: names of constraints, and kinds of columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    MetaData,
    Text,
)
from sqlalchemy.types import TypeEngine

from frameferry.domain.columns import SAID, Kind
from frameferry.ledger.database.clock import UtcTime

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    }
)

ID: Final[TypeEngine[int]] = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite makes row ids of INTEGER columns only."""


def row_id() -> Column[int]:
    """Number a table's rows; no number is given out twice."""
    return Column("id", ID, primary_key=True)


def refers_to(
    target: str, name: str, *, nullable: bool = False, primary_key: bool = False
) -> Column[int]:
    """Make a column that refers to a row of *target*, `table.column`."""
    return Column(name, ID, ForeignKey(target), nullable=nullable, primary_key=primary_key)


def of_batch() -> ForeignKeyConstraint:
    """Tie a row to its batch, and to the batch's pipeline and generation: they cannot differ."""
    columns = ["pipeline_id", "generation"]
    return ForeignKeyConstraint(
        ["batch_id", *columns], ["batch.id", *(f"batch.{column}" for column in columns)]
    )


def number(name: str, **options: Any) -> Column[int]:  # noqa: ANN401 - Column's own options
    """Make a column of whole numbers, never NULL unless *options* say so."""
    return Column(name, BigInteger(), **{"nullable": False, **options})


def words(name: str, **options: Any) -> Column[str]:  # noqa: ANN401 - Column's own options
    """Make a column of text, never NULL unless *options* say so."""
    return Column(name, Text(), **{"nullable": False, **options})


def moment(name: str, **options: Any) -> Column[Any]:  # noqa: ANN401 - Column's own options
    """Make a column for when something happened, NULL if it did not."""
    return Column(name, UtcTime(), **{"nullable": True, **options})


def said() -> list[Column[Any]]:
    """Make the columns of what the judge says."""
    types: Mapping[Kind, type[TypeEngine[Any]]] = {str: Text, int: BigInteger, float: Double}
    return [Column(name, types[kind](), nullable=True) for name, kind in SAID.items()]


def check(name: str, sql: str) -> CheckConstraint:
    """Make a rule that each row keeps."""
    return CheckConstraint(sql, name=name)
