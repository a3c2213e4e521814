"""Embedded servers that die are started again: by a command, by the watcher, and not for ever."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from fixtures.ferry import FRAMEFERRY
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.cli.session import resolve_and_revive, session, use_stack_connections
from frameferry.config.connections import ftp_connection
from frameferry.config.home import home
from frameferry.errors import ConnectionMissing, FtpUnavailable, StackError
from frameferry.stack import ports, processes, revival, servers, stack, watch
from frameferry.stack.lock import locked
from frameferry.stack.state import StateFile

REVIVE = "from frameferry.stack import stack; stack.revive('ftp', on_progress=print)"
FTP_VARIABLE = "AIRFLOW_CONN_ARCHIVE_FTP"
FILLED_IN = (
    FTP_VARIABLE,
    "AIRFLOW_CONN_PLANT_KAFKA",
    "AIRFLOW_CONN_SPARK_DEFAULT",
)
# Read by every Python that starts, so also by a server: `switch` says what becomes of it.
SITE = """
import os, pathlib, sys, time
switch = pathlib.Path(__file__).with_name("switch")
if "frameferry.stack.ftp_server" in sys.orig_argv:
    while switch.read_text() == "waits":
        time.sleep(0.05)
    if switch.read_text() == "dies":
        print("no such disk", flush=True)
        os._exit(3)
"""


@pytest.fixture(autouse=True)
def _down(monkeypatch):
    for name in FILLED_IN:
        # Set first, so that what a command fills in is taken back at the end.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    stack.down()
    assert [] == processes.find(mark())


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(revival, "PAUSES_SECONDS", (0, 0.1, 0.2))


@pytest.fixture
def switch(tmp_path, monkeypatch):
    """Say what a server does that is started: it `dies`, or `waits` for another word."""
    (tmp_path / "sitecustomize.py").write_text(SITE)
    (tmp_path / "switch").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return (tmp_path / "switch").write_text


def mark(name=""):
    return StateFile(home()).state.mark(name)


def record(name="ftp"):
    return StateFile(home()).state.server(name)


def kill(name="ftp"):
    spawned = record(name).processes[name]
    os.kill(spawned.pid, signal.SIGKILL)
    poll(lambda: not processes.is_alive(spawned), "its end")
    return spawned


def unwatched(*names):
    """Start servers without anybody who watches them."""
    stack.up(names)
    kill("watcher")


def revived(name="ftp"):
    lines = []
    stack.revive(name, on_progress=lines.append)
    return lines


def log(name="ftp"):
    return home() / "logs" / f"{name}.log"


def write_pipeline(folder, monkeypatch):
    (folder / "p.yaml").write_text(
        "pipeline: p\nkafka: {connection: plant_kafka, topic: revived}\nmodel: none\n"
        "deliver: {connection: archive_ftp, base: /out}\n"
    )
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(folder))


def is_serving():
    return record().is_up and ports.answers(record().ports["control"])


def test_a_run_starts_its_dead_servers_again_each_in_a_line_and_delivers(tmp_path, monkeypatch):
    unwatched("kafka", "ftp")
    server = KafkaServer(stack.status()["kafka"]["bootstrap_servers"], StateFile(home()))
    server.produce(server.create_topic("revived"), [b"picture"])
    write_pipeline(tmp_path, monkeypatch)
    kill("kafka")
    kill("ftp")

    done = subprocess.run(
        [FRAMEFERRY, "run", "p"], capture_output=True, text=True, timeout=120, check=False
    )
    assert 0 == done.returncode, done.stderr
    for name in ("kafka", "ftp"):
        said = rf"{name} died \({log(name)} ends at .+\): starting it again, 1 of 3"
        assert re.search(said, done.stderr), done.stderr
        assert re.search(rf"^{name} is up again \(", done.stderr, re.MULTILINE)
    assert [b"picture"] == [p.read_bytes() for p in (home() / "ftp").rglob("*") if p.is_file()]

    stack.down(["kafka"])
    assert [False, True] == [stack.status()[name]["up"] for name in ("kafka", "ftp")]
    assert stack.status()["watcher"]["up"]


def test_what_died_is_still_described_and_what_became_of_it_is_said():
    unwatched("ftp")
    described = stack.environment()[FTP_VARIABLE]
    kill()
    assert described == stack.environment()[FTP_VARIABLE]
    died = stack.status()["ftp"]["died"]
    assert f"ftp died (killed by signal 9, {log()} ends at " in died
    assert died.endswith("; the next `frameferry run` starts it again")

    assert 2 == len(revived())
    assert "died" not in stack.status()["ftp"]
    assert "was started again; try once more" in stack.death("ftp")


def meet(door):
    with session("p") as ctx:
        ctx.open_ftp(door)


def test_a_server_that_dies_in_a_command_is_what_its_error_tells_of(tmp_path, monkeypatch):
    write_pipeline(tmp_path, monkeypatch)
    unwatched("ftp")
    use_stack_connections()
    door = ftp_connection(resolve_and_revive("archive_ftp"))
    kill()
    with pytest.raises(FtpUnavailable, match="refused") as caught:
        meet(door)
    assert caught.value.remedy.startswith(f"ftp died (killed by signal 9, {log()} ends at ")

    revived()
    with pytest.raises(FtpUnavailable, match="refused") as caught:
        meet(door.model_copy(update={"port": 1}))
    assert "ftp had died and was started again; try once more" == caught.value.remedy


def test_it_keeps_its_port_its_password_and_its_files():
    unwatched("ftp")
    before = stack.status()["ftp"]
    kill()
    revived()
    assert before == stack.status()["ftp"]
    assert [] == revived()


def test_one_that_dies_at_each_start_is_given_up_and_its_log_named(switch):
    unwatched("ftp")
    switch("dies")
    kill()
    lines = []
    with pytest.raises(StackError) as caught:
        stack.revive("ftp", on_progress=lines.append)
    tries = [line for line in lines if "starting it again" in line]
    assert ["1 of 3", "2 of 3", "3 of 3"] == [line.rpartition(", ")[2] for line in tries]
    assert "killed by signal 9" in tries[0]
    assert f"exit status 3, {log()} ends at" in tries[1]
    assert caught.value.what.startswith("ftp died, and 3 new starts within 10 min")
    assert "frameferry stack up --only ftp" in caught.value.remedy
    assert f"See {log()}, which ends:\n" in caught.value.remedy
    assert caught.value.remedy.endswith("no such disk")

    before = log().read_text()
    StateFile(home()).change(lambda state: state.server("ftp").revived.clear())
    with pytest.raises(StackError, match="3 new starts"):
        revived()
    assert before == log().read_text()
    assert [] == watch._fallen()
    assert "3 new starts" in stack.status()["ftp"]["died"]

    switch("")
    stack.up(["ftp"])
    assert is_serving()
    assert ("", []) == (record().given_up, record().revived)


def test_one_that_dies_after_each_start_is_given_up_too():
    unwatched("ftp")
    for _ in range(revival.STARTS):
        kill()
        assert 2 == len(revived())
    kill()
    with pytest.raises(StackError, match=f"3 new starts.*died .*See {log()}, which ends"):
        revived()


def test_between_two_starts_is_a_pause_in_which_a_person_may_stop_it(monkeypatch):
    monkeypatch.setattr(revival, "PAUSES_SECONDS", (0, 1, 2))
    unwatched("ftp")
    for _ in range(2):
        kill()
        revived()
    first, second = record().revived
    assert second - first >= 1

    kill()
    lines = []
    waiting = threading.Thread(
        target=stack.revive, args=["ftp"], kwargs={"on_progress": lines.append}
    )
    waiting.start()
    stack.down()
    waiting.join(30)
    assert [] == lines
    assert not record().is_up


def test_starts_of_long_ago_do_not_count():
    unwatched("ftp")
    files = StateFile(home())
    long_ago = time.time() - revival.WITHIN_SECONDS - 1
    in_future = time.time() + 3600
    files.change(lambda state: state.server("ftp").revived.extend([long_ago, *[in_future] * 3]))
    kill()
    assert "starting it again, 1 of 3" in revived()[0]


def test_it_does_not_move_to_another_port_that_nobody_was_told_of(monkeypatch):
    monkeypatch.setattr(ports, "_CLOSING_SECONDS", 0.1)
    unwatched("ftp")
    port = record().ports["control"]
    kill()
    with socket.create_server(("127.0.0.1", port)), pytest.raises(StackError) as caught:
        revived()
    assert f"another program has a port of ftp ({port}," in caught.value.remedy
    assert port == record().ports["control"]


def test_one_that_a_person_stopped_is_not_started(monkeypatch):
    unwatched("ftp")
    use_stack_connections()
    stack.down()
    assert [] == revived()
    assert not record().is_up
    assert resolve_and_revive("archive_ftp").port == record().ports["control"]
    monkeypatch.delenv(FTP_VARIABLE)
    use_stack_connections()
    with pytest.raises(ConnectionMissing, match="'archive_ftp' is not defined"):
        resolve_and_revive("archive_ftp")


def test_one_that_never_ran_is_not_started_and_is_not_defined():
    use_stack_connections()
    with pytest.raises(ConnectionMissing, match="'archive_ftp' is not defined"):
        resolve_and_revive("archive_ftp")
    assert [] == revived()


def test_the_server_behind_a_connection_of_the_user_is_left_alone(monkeypatch):
    unwatched("ftp")
    kill()
    own = {**json.loads(stack.environment()[FTP_VARIABLE]), "login": "somebody"}
    monkeypatch.setenv(FTP_VARIABLE, json.dumps(own))
    use_stack_connections()
    assert "somebody" == resolve_and_revive("archive_ftp").login
    assert not record().is_up

    monkeypatch.delenv(FTP_VARIABLE)
    use_stack_connections()
    assert "ferry" == resolve_and_revive("archive_ftp").login
    assert is_serving()


def test_of_two_processes_at_once_one_starts_it_and_the_other_waits():
    unwatched("ftp")
    kill()
    both = [
        subprocess.Popen([sys.executable, "-c", REVIVE], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60)[0].splitlines() for process in both]
    assert [0, 0] == [process.returncode for process in both]
    assert [0, 2] == sorted(map(len, said))
    assert 1 == len(record().revived)
    assert 1 == len(processes.find(mark("ftp")))
    assert is_serving()


def test_one_that_is_being_started_is_waited_for(switch):
    unwatched("ftp")
    switch("waits")
    kill()
    both = [threading.Thread(target=revived) for _ in range(2)]
    both[0].start()
    poll(lambda: record().is_up, "its new process")
    both[1].start()
    both[1].join(0.5)
    assert both[1].is_alive()
    assert not is_serving()

    switch("")
    for one in both:
        one.join(60)
    assert is_serving()
    assert 1 == len(record().revived)


def test_the_watcher_starts_it_again_while_nobody_runs_a_command():
    stack.up(["ftp"])
    dead = kill()
    poll(lambda: is_serving() and record().processes["ftp"] != dead, "the watcher")
    poll(lambda: "ftp is up again" in log("watcher").read_text(), "its word")
    assert f"ftp died ({log()} ends at" in log("watcher").read_text()


def test_a_server_that_is_given_up_does_not_end_the_watcher():
    stack.up(["ftp"])
    watching = record("watcher")
    with locked() as files:
        files.change(lambda state: state.server("ftp").revived.extend([time.time()] * 3))
        kill()
    poll(lambda: record().given_up, "the watcher's last word")
    poll(lambda: "watcher.failed" in log("watcher").read_text(), "it in the log")
    assert processes.is_alive(watching.processes["watcher"])
    assert 1 == log("watcher").read_text().count("watcher.failed")


def test_two_watchers_do_no_harm_and_end_when_nothing_is_left_to_watch():
    stack.up(["ftp"])
    with second_watcher() as second:
        for times in (1, 2):
            dead = kill()
            poll(lambda dead=dead: is_serving() and record().processes["ftp"] != dead, "a watcher")
            assert times == len(record().revived)
            assert 1 == len(processes.find(mark("ftp")))
        stack.down()
        assert 0 == second.wait(30)


@contextmanager
def second_watcher():
    with subprocess.Popen([sys.executable, "-m", "frameferry.stack.watch"]) as second:
        try:
            yield second
        finally:
            second.kill()


def test_a_killed_watcher_is_seen_and_comes_back_with_the_next_start():
    unwatched("ftp")
    assert not stack.status()["watcher"]["up"]
    stack.up(["ftp"])
    assert stack.status()["watcher"]["up"]
    stack.up(["ftp"])
    assert 1 == len(processes.find(mark("watcher")))


def test_a_stop_does_not_wait_for_a_start_of_the_watchers(switch):
    stack.up(["ftp"])
    switch("waits")
    dead = kill()
    poll(lambda: record().is_up and record().processes["ftp"] != dead, "a start that hangs")
    assert 1 == len(record().revived), "a start that is killed counts, too"
    began = time.monotonic()
    stack.down()
    assert time.monotonic() - began < 30
    assert [] == processes.find(mark())


def test_airflow_is_told_of_a_server_that_died():
    unwatched("ftp")
    kill()
    files = StateFile(home())
    kinds = {kind.name: kind for kind in stack._kinds(files, ["airflow"])}
    servers.reserve(kinds["airflow"], files)
    told = kinds["airflow"].build(servers.setting("airflow", files)).environment()
    assert stack.environment()[FTP_VARIABLE] == told[FTP_VARIABLE]
