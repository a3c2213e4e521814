"""Looking at a process that ends between two questions is no failure of the test that looks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest
from fixtures.polling import poll
from fixtures.processes import command_line, descendants, is_over, is_zombie, kill, parent_of


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process


def test_of_one_that_is_there_everything_is_told(child: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(child.pid)
    poll(lambda: "input()" in command_line(process), "its command line")
    assert psutil.Process().pid == parent_of(process)
    assert process in descendants(psutil.Process().pid)
    assert not is_zombie(process)
    assert not is_over(process)


def test_a_zombie_has_no_command_line_and_is_over(child: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(child.pid)
    child.kill()
    poll(lambda: is_zombie(process), "a child that nobody has buried")
    assert [] == command_line(process)
    assert is_over(process)
    kill(process)


def test_one_that_is_gone_has_neither_parent_nor_children(child: subprocess.Popen[bytes]) -> None:
    process = psutil.Process(child.pid)
    child.kill()
    child.wait()
    assert [] == command_line(process)
    assert parent_of(process) is None
    assert [] == descendants(process.pid)
    assert is_over(process)
    assert not is_zombie(process)
    kill(process)
