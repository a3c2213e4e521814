"""All pipelines share one session of a server; other code or settings give another."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from frameferry import errors
from frameferry.spark.identity import code_version, session_id, worker_sources

KNOWN: tuple[str, dict[str, str], int] = ("code-1", {"spark.sql.a": "1", "spark.sql.b": "2"}, 0)


def test_the_id_is_a_uuid_and_stays() -> None:
    assert session_id(*KNOWN) == str(uuid.UUID(session_id(*KNOWN))) == session_id(*KNOWN)


@pytest.mark.parametrize(
    "other",
    [
        ("code-2", KNOWN[1], 0),
        ("code-1", {"spark.sql.a": "1"}, 0),
        ("code-1", KNOWN[1], 1),
    ],
)
def test_code_settings_and_generation_each_give_another(
    other: tuple[str, dict[str, str], int],
) -> None:
    assert session_id(*KNOWN) != session_id(*other)


def test_the_order_of_settings_gives_no_other() -> None:
    assert session_id(*KNOWN) == session_id("code-1", {"spark.sql.b": "2", "spark.sql.a": "1"}, 0)


def test_the_digest_covers_all_that_a_worker_imports() -> None:
    """A warm worker with old code in it would go on judging with it."""
    script = (
        "import sys; import frameferry.spark.worker, frameferry.spark.daemon;"
        "print(*(m.__file__ for n, m in sys.modules.items() if n.startswith('frameferry.')))"
    )
    worker = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    imported = {Path(file) for file in worker.stdout.split()}
    assert Path(errors.__file__) in imported
    assert not imported - set(worker_sources())


def test_every_process_finds_the_same_code() -> None:
    script = "from frameferry.spark.identity import code_version; print(code_version())"
    elsewhere = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONHASHSEED": "7"},
        cwd="/",
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert code_version() == elsewhere.stdout.strip()
