"""The whole chain through Airflow's own scheduler: once in peace, once killed in the middle."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import psutil
import pytest
from fixtures.processes import command_line, kill

ROOT = Path(__file__).parents[2]
FRAMEFERRY = str(Path(sys.executable).with_name("frameferry"))
FIRST_PICTURE_SECONDS = 90
DEMO_SECONDS = 480


@pytest.fixture
def stack_home(tmp_path):
    """A home of its own; whatever the demo leaves running is stopped and fails the test."""
    home = tmp_path / "home"
    yield home
    left = belonging_to(home)
    lines = list(filter(None, map(command_line, left)))
    for process in left:
        kill(process)
    assert not lines


def belonging_to(home: Path) -> list[psutil.Process]:
    """Find every process that was started for this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(home) == process.environ().get("FRAMEFERRY_HOME"):
                found.append(process)
        except psutil.Error:
            continue
    return found


def start_demo(home: Path, log: Path) -> subprocess.Popen:
    environment = {**os.environ, "FRAMEFERRY_HOME": str(home), "COLUMNS": "200"}
    with log.open("a") as file:
        return subprocess.Popen(
            [FRAMEFERRY, "demo", "--exit"],
            cwd=ROOT,
            env=environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def receipts(home: Path) -> int:
    """Count receipts from outside, without the code under test."""
    ledger = home / "ledger.db"
    if not ledger.exists():
        return 0
    with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True, timeout=30)) as database:
        try:
            query = "SELECT count(*) FROM record WHERE outcome = 'delivered'"
            return database.execute(query).fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def files(home: Path) -> list[bytes]:
    return [path.read_bytes() for path in (home / "ftp").rglob("*") if path.is_file()]


def wait_until(condition, seconds: float, what: str):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def deliverable(rounds: int) -> Counter:
    from frameferry.demo.pictures import demo_pictures

    return Counter(
        picture.value
        for number in range(1, rounds + 1)
        for picture in demo_pictures(number)
        if picture.deliverable
    )


@pytest.mark.timeout(900)
def test_the_scheduler_carries_every_picture_and_a_killed_demo_ends_the_same(stack_home, tmp_path):
    log = tmp_path / "demo.log"

    first = start_demo(stack_home, log)
    wait_until(lambda: receipts(stack_home) >= 20 or first.poll() is not None, 300, "no receipts")
    assert first.poll() is None, log.read_text()[-3000:]
    killed = belonging_to(stack_home)
    assert len(killed) > 5
    for process in [first, *killed]:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    first.wait(30)
    before = receipts(stack_home)
    assert 20 <= before < sum(deliverable(1).values())

    second = start_demo(stack_home, log)
    assert 0 == second.wait(DEMO_SECONDS), log.read_text()[-5000:]
    assert deliverable(1) == Counter(files(stack_home))
    assert [] == belonging_to(stack_home)
    assert committed(stack_home) == told(stack_home)

    # The seconds are those of this command, not of the one that was killed.
    seconds_told = re.findall(r"first picture delivered and verified +(\S+)", log.read_text())
    assert len(seconds_told) == 2
    assert all(float(seconds) > 0 for seconds in seconds_told)

    state = json.loads((stack_home / "demo.json").read_text())
    assert {"round": 1, "finished": True} == state


def committed(home: Path) -> dict[str, dict[int, set[int]]]:
    """Collect the committed offsets of each pipeline and partition, from outside."""
    query = (
        "SELECT name, partition, committed_offset FROM progress "
        "JOIN pipeline ON pipeline.id = progress.pipeline_id WHERE committed_offset > 0"
    )
    found: dict[str, dict[int, set[int]]] = {}
    with closing(sqlite3.connect(f"file:{home / 'ledger.db'}?mode=ro", uri=True)) as database:
        for name, partition, end in database.execute(query):
            found.setdefault(name, {})[partition] = set(range(end))
    return found


def told(home: Path) -> dict[str, dict[int, set[int]]]:
    """Collect the offsets that Airflow's asset events told to be delivered."""
    found: dict[str, dict[int, set[int]]] = {}
    query = (
        "SELECT asset_event.extra FROM asset_event JOIN asset ON asset.id = asset_event.asset_id "
        "WHERE asset.name LIKE 'delivered__%'"
    )
    [kept] = home.rglob("airflow.db")
    with closing(sqlite3.connect(f"file:{kept}?mode=ro", uri=True)) as database:
        for (extra,) in database.execute(query):
            event = json.loads(extra)
            partitions = found.setdefault(event["pipeline"], {})
            for one in event["ranges"]:
                offsets = set(range(one["from"], one["to"]))
                partitions.setdefault(one["partition"], set()).update(offsets)
    return found
