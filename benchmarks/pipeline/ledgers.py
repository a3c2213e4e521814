"""What the ledger of a home says, read from outside with plain SQL."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_POLL_SECONDS = 0.25
_COMMITTED = """
SELECT count(DISTINCT batch.id), count(record.id)
FROM batch JOIN pipeline ON pipeline.id = batch.pipeline_id
LEFT JOIN record ON record.batch_id = batch.id AND record.outcome = 'delivered'
WHERE pipeline.name = ? AND batch.committed_at IS NOT NULL
"""


@dataclass(frozen=True)
class Progress:
    """Of the committed batches of a pipeline: how many, with how many pictures delivered."""

    batches: int
    delivered: int


def progress(home: Path, pipeline: str) -> Progress:
    place = home / "ledger.db"
    if not place.exists():
        return Progress(0, 0)
    with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True, timeout=30)) as database:
        try:
            found = database.execute(_COMMITTED, (pipeline,)).fetchone()
        except sqlite3.OperationalError:  # its tables are not made yet
            return Progress(0, 0)
    return Progress(*found)


def wait_for(home: Path, pipeline: str, delivered: int, *, seconds: float) -> None:
    """Wait until so many pictures stand in committed batches."""
    deadline = time.monotonic() + seconds
    while (found := progress(home, pipeline)).delivered < delivered:
        assert time.monotonic() < deadline, f"{pipeline}: {found} after {seconds:g} s"
        time.sleep(_POLL_SECONDS)
