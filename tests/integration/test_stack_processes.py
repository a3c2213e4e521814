"""Processes that outlive us, on real ones."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from fixtures.polling import poll

from frameferry.errors import StackError
from frameferry.stack import ports, processes
from frameferry.stack.processes import Command, Spawned

STAYS = "import time; print('up', flush=True); time.sleep(600)"
IGNORES_TERM = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {STAYS}"
WITH_CHILD = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {STAYS!r}]); {STAYS}"
IN_NEW_SESSION = WITH_CHILD.replace("])", "], start_new_session=True)")


@pytest.fixture
def mark():
    mine = f"test-{secrets.token_hex(8)}/"
    yield mine
    processes.stop(mine, grace_seconds=1)


@pytest.fixture
def spawn(tmp_path, mark):
    def one(program, name="server", **env):
        command = Command(
            (sys.executable, "-c", program), folder=tmp_path, log=tmp_path / f"{name}.log", env=env
        )
        return processes.spawn(command, mark + name)

    return one


def up_lines(path):
    return path.read_text().count("up\n") if path.exists() else 0


def test_it_has_a_session_of_its_own_and_no_terminal(spawn):
    spawned = spawn(STAYS)
    assert spawned.pid == os.getsid(spawned.pid)
    assert Path("/dev/null") == Path(f"/proc/{spawned.pid}/fd/0").readlink()


def test_its_children_and_theirs_end_with_it_even_in_sessions_of_their_own(spawn, mark, tmp_path):
    spawn(IN_NEW_SESSION)
    poll(lambda: up_lines(tmp_path / "server.log") == 2, "both to run")
    assert 2 == processes.stop(mark)
    assert [] == processes.find(mark)


def test_children_are_found_after_their_parent_was_killed(spawn, mark, tmp_path):
    parent = spawn(WITH_CHILD)
    poll(lambda: up_lines(tmp_path / "server.log") == 2, "both to run")
    os.kill(parent.pid, signal.SIGKILL)
    poll(lambda: not processes.is_alive(parent), "the parent's end")
    assert 1 == len(processes.find(mark))
    assert 1 == processes.stop(mark)


def test_one_that_ignores_the_request_is_killed(spawn, mark, tmp_path):
    spawned = spawn(IGNORES_TERM)
    poll(lambda: up_lines(tmp_path / "server.log"), "it to run")
    processes.stop(mark, grace_seconds=0.2)
    assert not processes.is_alive(spawned)


def test_stopping_one_server_leaves_the_others(spawn, mark):
    kafka, ftp = spawn(STAYS, "kafka"), spawn(STAYS, "ftp")
    processes.stop(f"{mark}kafka")
    assert [False, True] == [processes.is_alive(kafka), processes.is_alive(ftp)]


def test_a_recycled_pid_is_not_taken_for_ours_and_never_stopped(spawn, mark):
    stranger = spawn(STAYS, "stranger")
    remembered = Spawned(stranger.pid, stranger.started - 3600)
    assert not processes.is_alive(remembered)
    assert 0 == processes.stop("another-mark/")
    assert processes.is_alive(stranger)


def test_a_zombie_is_not_alive(spawn):
    spawned = spawn("pass")
    poll(lambda: not processes.is_alive(spawned), "its end")


def test_a_title_that_it_gives_itself_does_not_hide_the_mark(spawn, mark, tmp_path):
    spawn(f"import setproctitle; setproctitle.setproctitle('x' * 4000); {STAYS}")
    poll(lambda: up_lines(tmp_path / "server.log"), "it to run")
    assert 1 == len(processes.find(mark))


def wait(spawned, log, *, ready=lambda: False, seconds=20.0, cancelled=None):
    processes.wait_until(
        ready,
        name="broker",
        spawned=[(spawned, log)],
        deadline_seconds=seconds,
        cancelled=cancelled or threading.Event(),
    )


def test_one_that_dies_at_once_is_said_with_the_end_of_its_log(spawn, tmp_path):
    spawned = spawn("import sys; sys.exit('no such setting: x')")
    with pytest.raises(StackError) as caught:
        wait(spawned, tmp_path / "server.log")
    assert "broker ended while starting" == caught.value.what
    assert str(tmp_path / "server.log") in caught.value.remedy
    assert "no such setting: x" in caught.value.remedy


def test_one_that_never_answers_is_given_up(spawn, tmp_path):
    with pytest.raises(StackError, match=r"broker did not answer within 0 s"):
        wait(spawn(STAYS), tmp_path / "server.log", seconds=0.1)


WRITES_ON = (
    "import time\nfor n in range(10**6): print('still loading', n, flush=True); time.sleep(0.02)"
)


def test_one_that_is_slow_but_goes_on_writing_is_waited_for(spawn, tmp_path):
    log = tmp_path / "server.log"
    spawned = spawn(WRITES_ON)
    poll(lambda: log.stat().st_size, "its first line")
    answers = time.monotonic() + 1.5
    wait(spawned, log, ready=lambda: time.monotonic() > answers, seconds=0.8)


def test_one_that_writes_for_ever_and_never_answers_is_given_up_all_the_same(spawn, tmp_path):
    began = time.monotonic()
    with pytest.raises(StackError, match="broker did not answer within"):
        wait(spawn(WRITES_ON), tmp_path / "server.log", seconds=0.8)
    assert 4 * 0.8 <= time.monotonic() - began < 20


def test_waiting_ends_when_it_is_cancelled(spawn, tmp_path):
    cancelled = threading.Event()
    cancelled.set()
    with pytest.raises(StackError, match="the start of broker was interrupted"):
        wait(spawn(STAYS), tmp_path / "server.log", cancelled=cancelled)


def test_a_program_that_does_not_exist_is_said_in_one_line(tmp_path, mark):
    command = Command(("/no/such/program",), folder=tmp_path, log=tmp_path / "log")
    with pytest.raises(StackError, match=r"cannot start /no/such/program: No such file"):
        processes.spawn(command, mark)


def test_a_long_log_is_put_aside(spawn, tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "_LOG_LIMIT_BYTES", 10)
    (tmp_path / "server.log").write_text("yesterday's lines")
    spawn("print('today')")
    poll(lambda: (tmp_path / "server.log").read_text() == "today\n", "the new log")
    assert "yesterday's lines" == (tmp_path / "server.log.1").read_text()


def test_a_port_is_kept_while_it_is_free_and_left_when_it_is_not():
    first = ports.choose({"a": 1, "b": 3}, {})
    assert first == ports.choose({"a": 1, "b": 3}, first)
    with socket.create_server(("127.0.0.1", first["b"] + 2)):
        second = ports.choose({"a": 1, "b": 3}, first)
    assert first["a"] == second["a"]
    assert first["b"] != second["b"]


def test_a_port_that_a_neighbour_has_is_not_chosen():
    chosen = ports.choose({"a": 1}, {})
    assert chosen["a"] != ports.choose({"a": 1}, chosen, taken=chosen.values())["a"]


def test_our_own_process_carries_no_mark():
    assert "" == processes._mark(psutil.Process())
