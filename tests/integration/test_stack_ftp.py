"""The embedded FTP server, through `stack` as the command line calls it."""

from __future__ import annotations

import ftplib
import io
import json
import os
import signal
import stat
from pathlib import Path

import pytest
from fixtures.polling import poll

from frameferry.config.connections import ftp_connection, resolve_from_environment
from frameferry.config.home import home
from frameferry.errors import ConnectionMissing, StackError
from frameferry.stack import processes, servers, stack
from frameferry.stack.state import StateFile


@pytest.fixture(autouse=True)
def _down():
    yield
    stack.down()
    assert [] == processes.find(StateFile(home()).state.mark())


def log_in():
    door = stack.status()["ftp"]
    client = ftplib.FTP()
    client.connect(door["host"], door["port"], timeout=10)
    client.login(door["user"], door["password"])
    return client


def test_up_serves_a_folder_of_the_home_and_down_ends_it_and_keeps_the_files():
    lines = []
    stack.up(["ftp"], on_progress=lines.append)
    assert 1 == len(lines)
    assert lines[0].startswith("ftp is up (")
    with log_in() as client:
        client.storbinary("STOR picture.jpg", io.BytesIO(b"bytes"))
    assert b"bytes" == (home() / "ftp" / "picture.jpg").read_bytes()
    assert str(home() / "ftp") == stack.status()["ftp"]["root"]

    stack.down()
    assert not stack.status()["ftp"]["up"]
    assert b"bytes" == (home() / "ftp" / "picture.jpg").read_bytes()


def test_after_a_kill_it_comes_back_with_port_password_and_files():
    state = stack.up(["ftp"])
    before = stack.status()["ftp"]
    spawned = state.servers["ftp"].processes["ftp"]
    processes.stop(state.mark("watcher"))
    os.kill(spawned.pid, signal.SIGKILL)
    poll(lambda: not processes.is_alive(spawned), "its end")
    assert not stack.status()["ftp"]["up"]

    stack.up(["ftp"])
    assert before == stack.status()["ftp"]
    log_in().quit()


def test_one_that_is_deaf_is_replaced():
    spawned = stack.up(["ftp"]).servers["ftp"].processes["ftp"]
    os.kill(spawned.pid, signal.SIGSTOP)
    stack.up(["ftp"])
    assert not processes.is_alive(spawned)
    log_in().quit()


def test_its_password_is_for_the_owner_only_and_in_no_command_line():
    spawned = stack.up(["ftp"]).servers["ftp"].processes["ftp"]
    password = stack.status()["ftp"]["password"]
    holders = [p for p in home().rglob("*") if p.is_file() and password in p.read_text()]
    assert {"stack.json", "ftp.json"} == {path.name for path in holders}
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in holders}
    assert password not in Path(f"/proc/{spawned.pid}/cmdline").read_text()


def test_a_wrong_password_is_refused():
    stack.up(["ftp"])
    door = stack.status()["ftp"]
    client = ftplib.FTP()
    client.connect(door["host"], door["port"], timeout=10)
    with pytest.raises(ftplib.error_perm, match="530"):
        client.login(door["user"], "wrong")
    client.close()


def test_the_environment_names_what_runs_and_nothing_else(monkeypatch):
    stack.up(["ftp"])
    env = stack.environment()
    assert {"AIRFLOW_CONN_ARCHIVE_FTP"} == {n for n in env if n.startswith("AIRFLOW_CONN_")}
    assert str(home()) == env["FRAMEFERRY_HOME"]
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE_FTP", env["AIRFLOW_CONN_ARCHIVE_FTP"])
    connection = ftp_connection(resolve_from_environment("archive_ftp"))
    door = stack.status()["ftp"]
    assert (door["host"], door["port"]) == (connection.host, connection.port)
    assert door["password"] == connection.password.get_secret_value()

    stack.down()
    assert "AIRFLOW_CONN_ARCHIVE_FTP" not in stack.environment()
    with pytest.raises(ConnectionMissing):
        resolve_from_environment("plant_kafka")


def test_airflow_is_told_the_password_even_if_nobody_asked_for_it_before():
    files = StateFile(home())
    kinds = {kind.name: kind for kind in stack._kinds(files, stack.SERVERS)}
    for kind in kinds.values():
        servers.reserve(kind, files)
    told = kinds["airflow"].build(servers.setting("airflow", files)).environment()
    connection = json.loads(told["AIRFLOW_CONN_ARCHIVE_FTP"])
    server = kinds["ftp"].build(servers.setting("ftp", files))
    assert (server.port, server.password) == (connection["port"], connection["password"])
    assert 64 == len(server.password)


def test_a_home_that_never_ran_has_nothing_but_its_ledger():
    stack.down()
    assert ["ledger"] == list(stack.status())


@pytest.mark.parametrize("only", [["ftp", "postgres"], []])
def test_an_unknown_server_is_named(only):
    with pytest.raises(StackError, match="The servers are kafka, spark, ftp, airflow"):
        stack.up(only)
