"""What the ledger of a home says, read from outside with plain SQL."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_POLL_SECONDS = 0.25
_COMMITTED = """
SELECT count(DISTINCT batch.id), count(record.id)
FROM batch JOIN pipeline ON pipeline.id = batch.pipeline_id
LEFT JOIN record ON record.batch_id = batch.id AND record.outcome = 'delivered'
WHERE pipeline.name = ? AND batch.committed_at IS NOT NULL
"""


_TROUBLES = """
SELECT
  (SELECT count(*) FROM batch WHERE split_at IS NOT NULL AND pipeline_id = pipeline.id),
  (SELECT count(*) FROM batch WHERE last_error IS NOT NULL AND pipeline_id = pipeline.id),
  (SELECT count(*) FROM record WHERE outcome = 'quarantined' AND pipeline_id = pipeline.id)
FROM pipeline WHERE name = ?
"""
_LAST_OFFSETS = """
SELECT sum(end_offset - start_offset) FROM batch_range JOIN batch ON batch.id = batch_id
JOIN pipeline ON pipeline.id = batch.pipeline_id
WHERE pipeline.name = ? GROUP BY batch.id ORDER BY batch.id DESC LIMIT 1
"""
_LARGEST = """
SELECT max(byte_count) FROM batch JOIN pipeline ON pipeline.id = batch.pipeline_id
WHERE pipeline.name = ? AND batch.id > ?
"""


@dataclass(frozen=True)
class Troubles:
    """Batches that were split, batches that failed, pictures in quarantine."""

    split: int
    failed: int
    quarantined: int


@dataclass(frozen=True)
class Progress:
    """Of the committed batches of a pipeline: how many, with how many pictures delivered."""

    batches: int
    delivered: int


def progress(home: Path, pipeline: str) -> Progress:
    return Progress(*(_asked(home, _COMMITTED, pipeline) or (0, 0)))


def troubles(home: Path, pipeline: str) -> Troubles:
    return Troubles(*(_asked(home, _TROUBLES, pipeline) or (0, 0, 0)))


def last_batch(home: Path) -> int:
    """Give the newest batch's number, of any pipeline."""
    return int((_asked(home, "SELECT coalesce(max(id), 0) FROM batch") or (0,))[0])


def last_batch_offsets(home: Path, pipeline: str) -> int:
    """Give how many offsets the newest batch of a pipeline has."""
    return int((_asked(home, _LAST_OFFSETS, pipeline) or (1,))[0])


def largest_batch_bytes(home: Path, pipeline: str, *, after: int) -> int:
    """Weigh the largest batch of a pipeline that is newer than a batch."""
    return int((_asked(home, _LARGEST, pipeline, after) or (0,))[0] or 0)


def _asked(home: Path, question: str, *values: object) -> tuple[Any, ...] | None:
    """Ask for one row; None where the ledger is not made yet."""
    place = home / "ledger.db"
    if not place.exists():
        return None
    with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=30)) as database:
        try:
            row: tuple[Any, ...] | None = database.execute(question, values).fetchone()
        except sqlite3.OperationalError:  # its tables are not made yet
            return None
    return row


def wait_for(home: Path, pipeline: str, delivered: int, *, seconds: float) -> None:
    """Wait until so many pictures stand in committed batches."""
    deadline = time.monotonic() + seconds
    while (found := progress(home, pipeline)).delivered < delivered:
        assert time.monotonic() < deadline, f"{pipeline}: {found} after {seconds:g} s"
        time.sleep(_POLL_SECONDS)
