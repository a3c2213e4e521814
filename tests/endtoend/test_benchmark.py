"""The benchmark runs: every side carries every picture. How fast is no matter here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 600


@pytest.mark.timeout(SECONDS + 60)
def test_every_side_of_the_smoke_form_delivers_every_picture(tmp_path):
    kept = tmp_path / "benchmark.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.pipeline", "--smoke", "--out", str(kept)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert 0 == done.returncode, (done.stdout + done.stderr)[-5000:]
    rounds = json.loads(kept.read_text())["rounds"]
    assert {
        ("near", "frameferry"),
        ("near", "loop"),
        ("near", "old design"),
        ("scheduler", "scheduled"),
    } == {(each["part"], each["side"]) for each in rounds}
    assert all(each["delivered"] == each["pictures"] > 0 for each in rounds)
