"""Time in the ledger: UTC everywhere, and the database's clock wherever two hosts must agree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Text, literal
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine


class UtcTime(TypeDecorator[datetime]):
    """
    A moment: `timestamptz` on PostgreSQL, sortable text of fixed width on SQLite.

    Values without a zone are refused.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the column's type."""
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else self.impl_instance)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:  # noqa: ANN401 - a driver's value
        """Write a moment as the database keeps it."""
        if value is None:
            return None
        if value.tzinfo is None:
            msg = f"a moment needs a zone: {value}"
            raise ValueError(msg)
        moment = value.astimezone(UTC)
        if dialect.name != "sqlite":
            return moment
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ANN401, ARG002 - the base's signature
        """Read a moment, always in UTC."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return moment.astimezone(UTC)


class _FromNow(FunctionElement[datetime]):
    type = UtcTime()
    inherit_cache = True


def from_now(seconds: float = 0.0) -> _FromNow:
    """
    Name the moment *seconds* from now by the database's clock, in SQL.

    On PostgreSQL it is the wall clock, not the transaction's start: a statement that waited for
    a lock sees the time at which it got it.
    """
    return _FromNow(literal(float(seconds)))


@compiles(_FromNow, "sqlite")
def _sqlite(element: _FromNow, compiler: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    seconds = compiler.process(element.clauses, **options)
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', 'now', {seconds} || ' seconds')"


@compiles(_FromNow, "postgresql")
def _postgresql(element: _FromNow, compiler: Any, **options: Any) -> str:  # noqa: ANN401 - SQLAlchemy's hook
    seconds = compiler.process(element.clauses, **options)
    return f"(clock_timestamp() + make_interval(secs => {seconds}))"
