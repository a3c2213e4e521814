"""The embedded Airflow gets the pools of pipelines that come while it runs, and stays up."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.polling import poll

from frameferry.config.home import home
from frameferry.stack import stack
from frameferry.stack.state import StateFile

# It starts an Airflow, and waits until the watcher has started it again.
pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def add_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], None]]:
    """Write the file of one more pipeline, which delivers to a server of this id."""
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    monkeypatch.setenv("FRAMEFERRY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(pipelines))
    for name in [name for name in os.environ if name.startswith("AIRFLOW_")]:
        monkeypatch.delenv(name)

    def add(connection: str) -> None:
        (pipelines / f"{connection}.yaml").write_text(
            f"pipeline: {connection}\nkafka: {{connection: k, topic: t}}\nmodel: none\n"
            f"deliver: {{connection: {connection}, base: /here}}\n"
        )

    try:
        yield add
    finally:
        stack.down()


def pools() -> set[str]:
    with closing(sqlite3.connect(home() / "airflow" / "airflow.db")) as connection:
        return {name for (name,) in connection.execute("SELECT pool FROM slot_pool")}


def evaluated(lines: str) -> dict[str, str]:
    """Read what a shell has in its environment after these lines, and nothing of Airflow before."""
    done = subprocess.run(
        ["sh", "-c", f"{lines}\nenv -0"], capture_output=True, text=True, timeout=60, check=True
    )
    return dict(re.findall(r"([^=\0]+)=([^\0]*)\0", done.stdout))


def frameferry(*arguments: str, **more: str) -> str:
    done = subprocess.run(
        [Path(sys.executable).with_name("frameferry"), *arguments],
        env={**os.environ, **more},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


def test_a_running_airflow_gets_the_pools_of_new_connections_and_what_dies_of_it_comes_back(
    add_pipeline: Callable[[str], None],
) -> None:
    add_pipeline("first")
    before = stack.up(["airflow"]).servers["airflow"].processes
    shared = {"default_pool", "spark", "spark_replay"}
    assert shared | {"ftp__first", "ftp__first__replay"} == pools()

    add_pipeline("second")
    assert before == stack.up(["airflow"]).servers["airflow"].processes
    assert {"ftp__second", "ftp__second__replay"} < pools()

    add_pipeline("third")
    told = frameferry("airflow", "setup", **evaluated(frameferry("stack", "env")))
    assert "pool ftp__third: 8 slots" in told
    assert {"ftp__third", "ftp__third__replay"} < pools()

    os.kill(before["airflow-triggerer"].pid, signal.SIGKILL)
    log = home() / "logs" / "watcher.log"
    poll(lambda: "airflow is up again" in log.read_text(), "the watcher", seconds=240)
    again = StateFile(home()).state.servers["airflow"]
    assert again.is_up
    assert before.keys() == again.processes.keys()

    stack.down()
    assert not [name for name in stack.environment() if name.startswith("AIRFLOW")]
