from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures import heavy_child
from fixtures.ftp_site import PASSWORD
from fixtures.odd_ftp import odd_server


@pytest.mark.parametrize(("size_bytes", "count"), [(200_000, 600), (5_000_000, 30)])
def test_memory_is_bounded_by_the_largest_picture_not_by_their_number(
    tmp_path: Path, size_bytes: int, count: int
) -> None:
    with odd_server(tmp_path) as site:
        connection = site.connection(timeout_seconds=30).model_dump(mode="json")
        told = json.dumps({**connection, "password": PASSWORD})
        argv = [sys.executable, heavy_child.__file__, told, str(size_bytes), str(count)]
        done = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120)
    assert int(done.stdout) <= 4 * size_bytes + 50_000_000
