"""All clients of one pipeline, model and code share one session; any change gives another."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest

from frameferry.spark.identity import code_version, session_id

KNOWN = ("press-a", "model-1", "code-1", 0)


def test_the_id_is_a_uuid_and_stays() -> None:
    assert session_id(*KNOWN) == str(uuid.UUID(session_id(*KNOWN))) == session_id(*KNOWN)


@pytest.mark.parametrize(
    "other",
    [
        ("press-b", "model-1", "code-1", 0),
        ("press-a", "model-2", "code-1", 0),
        ("press-a", "model-1", "code-2", 0),
        ("press-a", "model-1", "code-1", 1),
    ],
)
def test_pipeline_model_code_and_generation_each_give_another(
    other: tuple[str, str, str, int],
) -> None:
    assert session_id(*KNOWN) != session_id(*other)


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
