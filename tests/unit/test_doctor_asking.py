"""Many questions: each bounded, none hides another; clocks, and the worst of all signs."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from frameferry.domain.signs import Answer, Sign, Verdict, fine, warning, worst, wrong
from frameferry.errors import KafkaUnavailable
from frameferry.operations.doctor import machine
from frameferry.operations.doctor.asking import AT_ONCE, Question, ask_all
from frameferry.operations.doctor.clocks import compared

NOW = datetime(2026, 11, 30, tzinfo=UTC)


def raises() -> Iterator[Answer]:
    yield fine("so far")
    msg = "no broker"
    raise KafkaUnavailable(msg, remedy="Start it")


def dies() -> Iterator[Answer]:
    yield from ()
    msg = "password=hunter2"
    raise ValueError(msg)


def test_one_that_fails_or_never_answers_hides_no_other() -> None:
    never = threading.Event()

    def hangs() -> Iterator[Answer]:
        yield fine("begun")
        never.wait(30)

    asked = {"fails": raises, "dies": dies, "hangs": hangs, "works": lambda: [fine("well")]}
    began = time.monotonic()
    signs = list(ask_all([Question(k, "it", v) for k, v in asked.items()], seconds=0.2))
    never.set()
    assert time.monotonic() - began < 5
    assert [
        ("fails", Verdict.OK),
        ("fails", Verdict.WRONG),
        ("dies", Verdict.WRONG),
        ("hangs", Verdict.OK),
        ("hangs", Verdict.WRONG),
        ("works", Verdict.OK),
    ] == [(one.question, one.verdict) for one in signs]
    assert ("no broker", "Start it") == (signs[1].seen, signs[1].remedy)
    assert "hunter2" not in str(signs)
    assert "gave no answer in time" == signs[4].seen


def test_a_few_are_asked_at_once_and_all_are_asked() -> None:
    lock, now, most = threading.Lock(), [0], [0]

    def ask() -> Iterator[Answer]:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        yield fine("well")
        with lock:
            now[0] -= 1

    questions = [Question(str(number), "", ask) for number in range(3 * AT_ONCE + 1)]
    signs = list(ask_all(questions, seconds=10))
    assert [one.name for one in questions] == [one.question for one in signs]
    assert most[0] <= AT_ONCE


@pytest.mark.parametrize(
    ("off", "verdict", "words"),
    [
        (timedelta(0), Verdict.OK, "within 5 s"),
        (timedelta(seconds=4), Verdict.OK, "within 5 s"),
        (timedelta(seconds=30), Verdict.WARN, "30 s ahead of ours"),
        (-timedelta(seconds=30), Verdict.WARN, "behind ours"),
        (timedelta(hours=2), Verdict.WRONG, "2 h ahead of ours"),
        (-timedelta(hours=2), Verdict.WRONG, "behind ours"),
    ],
)
def test_a_clock_that_is_off_is_said(off: timedelta, verdict: Verdict, words: str) -> None:
    found = compared(NOW + off, NOW, NOW, whose="its clock")
    assert verdict == found.verdict
    assert words in found.seen


def test_how_long_the_answer_took_and_cut_seconds_are_no_difference() -> None:
    asked = NOW - timedelta(minutes=10)
    assert Verdict.OK == compared(NOW - timedelta(minutes=4), asked, NOW, whose="it").verdict
    cut = compared(NOW - timedelta(seconds=5.5), NOW, NOW, whose="it", unit=timedelta(seconds=1))
    assert Verdict.OK == cut.verdict


def test_a_disk_without_room_is_wrong() -> None:
    """Of /proc the kernel says that nothing is free."""
    (found,) = machine.room(Path("/proc/self/no/such/folder"))
    assert Verdict.WRONG == found.verdict
    assert "Make room" in found.remedy


def test_the_worst_of_all_signs_counts() -> None:
    made = [Sign("it", "", one.verdict, "") for one in (fine(""), wrong("", ""), warning("", ""))]
    assert Verdict.WRONG == worst(tuple(made))
    assert Verdict.WARN == worst((made[0], made[2]))
    assert Verdict.OK == worst(())


def test_java_that_is_missing_or_does_not_start_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    (found,) = machine.java()
    assert "does not start" in found.seen
    monkeypatch.delenv("JAVA_HOME")
    monkeypatch.setenv("PATH", str(tmp_path))
    (found,) = machine.java()
    assert "no java on the path" in found.seen


def test_the_packages_that_are_installed_here_are_those_that_are_wanted() -> None:
    (found,) = machine.packages()
    assert Verdict.OK == found.verdict, found


def test_where_nothing_leads_to_airflow_it_is_not_asked() -> None:
    (found,) = machine.airflow({"spark": 8}, {})
    assert Verdict.OK == found.verdict
    assert "not looked at" in found.seen
