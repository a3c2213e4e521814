"""The embedded Spark that dies, as it did of too little memory, and whoever needs it next."""

from __future__ import annotations

import os
import signal

import psutil
import pytest
from fixtures.polling import poll

from frameferry.cli import session
from frameferry.config.connections import spark_connection
from frameferry.config.home import home
from frameferry.stack import processes, stack
from frameferry.stack.state import StateFile

VARIABLE = "AIRFLOW_CONN_SPARK_DEFAULT"


@pytest.fixture(autouse=True)
def _down(monkeypatch):
    for name in ("AIRFLOW_CONN_ARCHIVE_FTP", "AIRFLOW_CONN_PLANT_KAFKA", VARIABLE):
        # Set first, so that what a command fills in is taken back at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    stack.down()
    assert [] == processes.find(StateFile(home()).state.mark())


def server():
    return StateFile(home()).state.server("spark").processes["spark"]


def test_a_step_that_needs_a_dead_spark_starts_it_again_and_none_lingers(capsys):
    stack.up(["spark"])
    processes.stop(StateFile(home()).state.mark("watcher"))
    dead = server()
    assert "-XX:+ExitOnOutOfMemoryError" in psutil.Process(dead.pid).cmdline()
    os.kill(dead.pid, signal.SIGKILL)
    poll(lambda: not processes.is_alive(dead), "its end")

    session.use_stack_connections()
    connection = spark_connection(session.resolve_and_revive("spark_default"))
    assert processes.is_alive(server())
    assert stack.status()["spark"]["url"] == connection.url
    said = " ".join(capsys.readouterr().err.split())
    assert f"spark died (killed by signal 9, {home()}/logs/spark.log ends at" in said
    assert "starting it again, 1 of 3 spark is up again (" in said
