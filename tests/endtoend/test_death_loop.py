"""The old design dies again and again on one batch; Frameferry adopts it and delivers all."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 900


@pytest.mark.timeout(SECONDS + 60)
def test_a_stream_that_dies_thrice_on_one_batch_is_adopted_and_every_picture_comes_once(tmp_path):
    kept = tmp_path / "death-loop.json"
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.death_loop", "--out", str(kept)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert 0 == done.returncode, (done.stdout + done.stderr)[-5000:]
    found = json.loads(kept.read_text())
    assert 3 == len(found["deaths"])
    assert all("is bigger than spark.driver.maxResultSize" in death for death in found["deaths"])
    assert 1 == len(set(found["planned"])), "a restart, with a limit too, replays the planned batch"
    assert found["old_files"]
    assert Counter(found["pictures"]) == Counter(found["old_files"] + found["our_files"])
    assert {"first new file", "healthy"} == set(found["seconds"])
