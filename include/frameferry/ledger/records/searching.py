"""Find records by position, by label, by name or path, each by an index if one can tell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import islice
from typing import Any, Final

from sqlalchemy import Connection, Select, func, or_, select

from frameferry.domain.columns import said_of
from frameferry.domain.state import RecordRow
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.database.tables import NAME_HEAD_CHARACTERS, current, name_head, record
from frameferry.ledger.progress.pipelines import find_pipeline
from frameferry.ledger.records.listings import standing
from frameferry.ledger.records.names import name_key

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WILD: Final = "*?["
_SURROGATES: Final = range(0xD800, 0xE000)


def list_records(
    connection: Connection,
    name: str,
    *,
    partition: int | None = None,
    offset: int | None = None,
    name_glob: str | None = None,
    label: str | None = None,
    limit: int = 1000,
) -> list[RecordRow]:
    """
    List the rows that stand, by partition and offset.

    *name_glob* (`*`, `?`, `[…]`, with case) is matched with the source name and with the whole
    remote path. A whole path and the beginning of a name are found at once; anything else takes
    longer the more records there are. If more than *limit* names begin so, the first by name are
    listed.
    """
    key = find_pipeline(connection, name)
    if key is None:
        return []
    query = standing(key, record)
    if partition is not None:
        query = query.where(current.c.partition == partition)
    if offset is not None:
        query = query.where(current.c.offset == offset)
    if label is not None:
        query = query.where(record.c.pipeline_id == key.id, record.c.label == label)
    if name_glob is None:
        source = current if label is None else record
        return [_record_row(row) for row in connection.execute(_in_order(query, source, limit))]
    by_name = query.where(record.c.pipeline_id == key.id)
    rows = _named(connection, by_name, name_glob, limit)
    return [_record_row(row) for row in sorted(islice(rows, limit), key=_position)]


def _in_order(query: Select[Any], source: Any, limit: int | None = None) -> Select[Any]:  # noqa: ANN401 - a table
    """Order by position, as the index of *source* is: `current`'s key, or `record`'s labels."""
    return query.order_by(source.c.generation, source.c.partition, source.c.offset).limit(limit)


def _position(row: AnyRow) -> tuple[int, int, int]:
    return row.generation, row.partition, row.offset


def _named(connection: Connection, query: Select[Any], glob: str, limit: int) -> Iterator[AnyRow]:
    """
    Find rows whose name or path matches.

    What comes before the first wildcard decides how: a name's beginning and a whole path have an
    index, anything else is looked for in order of position. Paths are absolute, so only what begins
    with a slash can be one.
    """
    head = _literal(glob)
    if head and not head.startswith("/"):
        begins = _beginning(connection, query, head)
        is_all = glob == f"{head}*" and len(head) <= NAME_HEAD_CHARACTERS
        # PostgreSQL chooses the index only if it knows that few rows are wanted.
        yield from _matching(connection, begins.limit(limit) if is_all else begins, glob)
        return
    if head == glob and (found := _at_path(connection, query, glob)):
        yield from found
    else:
        yield from _walked(connection, query, glob)


def _at_path(connection: Connection, query: Select[Any], path: str) -> list[AnyRow]:
    """Find the holder of a path, at any destination, and its duplicates."""
    holders = [
        row
        for destination in _destinations(connection)
        for row in _matching(
            connection,
            query.where(record.c.destination == destination, record.c.name_key == name_key(path)),
            path,
        )
    ]
    if not holders:
        return []
    twins = query.where(record.c.duplicate_of.in_([row.id for row in holders]))
    return [*holders, *_matching(connection, twins, path)]


def _literal(glob: str) -> str:
    """Take what comes before the first wildcard."""
    return glob[: next((at for at, char in enumerate(glob) if char in _WILD), len(glob))]


def _beginning(connection: Connection, query: Select[Any], head: str) -> Select[Any]:
    """Choose the names that begin with *head*, as far as their index looks, in its order."""
    is_whole = connection.dialect.name == "sqlite"
    indexed = record.c.source_name if is_whole else name_head()
    told = head if is_whole else head[:NAME_HEAD_CHARACTERS]
    end = _next(told)
    inside = (indexed >= told) if end is None else (indexed >= told) & (indexed < end)
    return query.where(inside).order_by(record.c.pipeline_id, indexed)


def _next(head: str) -> str | None:
    """Return the first text after all that begin so; None if there is none."""
    kept = head.rstrip(chr(sys.maxunicode))
    if not kept:
        return None
    code = ord(kept[-1]) + 1
    return kept[:-1] + chr(_SURROGATES.stop if code in _SURROGATES else code)


def _destinations(connection: Connection) -> Iterator[str]:
    """List every destination that ever got a file, by one jump each in the index of names."""
    held = record.c.name_key.is_not(None)
    last = connection.scalar(select(func.min(record.c.destination)).where(held))
    while last is not None:
        yield last
        after = held & (record.c.destination > last)
        last = connection.scalar(select(func.min(record.c.destination)).where(after))


def _walked(connection: Connection, query: Select[Any], glob: str) -> Iterator[AnyRow]:
    pattern = _like(glob)
    likely = or_(
        record.c.source_name.like(pattern, escape="\\"),
        record.c.remote_path.like(pattern, escape="\\"),
    )
    return _matching(connection, _in_order(query.where(likely), current), glob)


def _matching(connection: Connection, query: Select[Any], glob: str) -> Iterator[AnyRow]:
    with connection.execute(query, execution_options={"yield_per": 1000}) as rows:
        yield from (row for row in rows if _matches(row, glob))


def _record_row(row: AnyRow) -> RecordRow:
    return RecordRow(
        partition=row.partition,
        offset=row.offset,
        timestamp=moment(row.timestamp_ms),
        name=row.source_name,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        **said_of(row),
        model_digest=row.judge_digest,
        remote_path=row.remote_path,
        batch=row.batch_id,
        delivered_at=row.delivered_at,
    )


def moment(timestamp_ms: int) -> datetime | None:
    """Read Kafka's timestamp; None if there is none, or no calendar has it."""
    if timestamp_ms < 0:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=timestamp_ms)
    except OverflowError:
        return None


def _like(glob: str) -> str:
    """Widen a glob to a LIKE pattern that finds at least as much."""
    head, bracket, _ = glob.partition("[")
    escaped = "".join(f"\\{char}" if char in "%_\\" else char for char in head)
    return escaped.replace("*", "%").replace("?", "_") + ("%" if bracket else "")


def _matches(row: AnyRow, glob: str) -> bool:
    return fnmatchcase(row.source_name or "", glob) or fnmatchcase(row.remote_path, glob)
