"""A start that is killed at any moment, and the next one."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter

import pytest
from fixtures.polling import poll

from frameferry.config.home import home
from frameferry.stack import layout, processes, stack
from frameferry.stack.processes import MARK
from frameferry.stack.state import StateFile

MOMENTS = ("stack.json", "kafka/.format-*", "logs/kafka.log", "logs/ftp.log")


@pytest.fixture(autouse=True)
def _down():
    yield
    stack.down()
    assert [] == processes.find(mark())


def mark():
    return StateFile(home()).state.mark()


def start():
    up = [layout.program("frameferry"), "stack", "up", "--only", "kafka,ftp"]
    # A shell's background job, as which these tests may run, hands down that it ignores interrupts.
    argv = ["env", "--default-signal=INT", *up]
    return subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def servers():
    return Counter(process.environ()[MARK].split("/")[1] for process in processes.find(mark()))


@pytest.mark.parametrize("moment", MOMENTS)
def test_the_next_start_ends_with_one_of_each_server(moment):
    starting = start()
    poll(lambda: list(home().glob(moment)) or starting.poll() is not None, moment, seconds=120)
    starting.send_signal(signal.SIGKILL)
    starting.wait()

    stack.up(["kafka", "ftp"])
    assert {"kafka": 1, "ftp": 1, "watcher": 1} == servers()
    assert stack.status()["kafka"]["up"]
    assert stack.status()["ftp"]["up"]


def test_one_that_is_interrupted_gives_up_waiting_at_once():
    starting = start()
    poll(lambda: list(home().glob("logs/kafka.log")), "the broker's start", seconds=120)
    starting.send_signal(signal.SIGINT)
    assert 130 == starting.wait(20)
