"""Write records to Parquet files, in the columns of the view `predictions`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet

from frameferry.domain.columns import SAID, Kind
from frameferry.errors import ConfigError
from frameferry.ledger.database.dialects import AnyRow
from frameferry.ledger.records.searching import moment
from frameferry.ledger.upkeep.files import give_name
from frameferry.ledger.upkeep.pruning import Export

_ARROW: Final[Mapping[Kind, pa.DataType]] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
}
SCHEMA: Final = pa.schema(
    [
        ("pipeline", pa.string()),
        ("topic", pa.string()),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("ms", "UTC")),
        ("name", pa.string()),
        ("size_bytes", pa.int64()),
        ("sha256", pa.string()),
        *((name, _ARROW[kind]) for name, kind in SAID.items()),
        ("model_digest", pa.string()),
        ("remote_path", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("delivered_at", pa.timestamp("ms", "UTC")),
        ("batch", pa.int64()),
        ("generation", pa.int32()),
        ("stands", pa.bool_()),
    ]
)
"""The view's columns, and whether the row stood for its offset when it was exported."""
_RENAMED: Final = {"name": "source_name", "model_digest": "judge_digest", "batch": "batch_id"}


def parquet_in(folder: Path) -> Export:
    """
    Make an export into *folder*: each file is written whole, and none is written over.

    Raises:
        ConfigError: The folder cannot be made or written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"the folder {folder} cannot be made: {error.strerror}"
        raise ConfigError(msg, remedy="Name another with --to") from error

    def export(pipeline: str, batch_ids: Sequence[int], rows: Sequence[AnyRow]) -> str:
        stem = f"{pipeline}-batches-{min(batch_ids)}-{max(batch_ids)}"
        try:
            return str(_write(folder, stem, rows))
        except OSError as error:
            msg = f"{folder} cannot be written to: {error.strerror}"
            remedy = "Make room or name another with --to; nothing was removed that is not exported"
            raise ConfigError(msg, remedy=remedy) from error

    return export


def _write(folder: Path, stem: str, rows: Sequence[AnyRow]) -> Path:
    draft = folder / f".{stem}.{os.getpid()}.draft"
    try:
        table = pa.Table.from_pylist([_line(row) for row in rows], schema=SCHEMA)
        parquet.write_table(table, draft, compression="zstd")
        return _put(draft, folder, stem)
    finally:
        draft.unlink(missing_ok=True)


def _put(draft: Path, folder: Path, stem: str) -> Path:
    """Give the draft the first name that is free."""
    number = 1
    while True:
        file = folder / (f"{stem}.parquet" if number == 1 else f"{stem}-{number}.parquet")
        try:
            give_name(draft, file)
        except FileExistsError:
            number += 1
        else:
            return file


def _line(row: AnyRow) -> dict[str, Any]:
    values = row._mapping  # noqa: SLF001 - SQLAlchemy's own public name
    line = {name: values[_RENAMED.get(name, name)] for name in SCHEMA.names if name != "timestamp"}
    return {**line, "timestamp": moment(row.timestamp_ms)}
