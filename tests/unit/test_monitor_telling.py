from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from fixtures.page import alarm_of, status_of

from frameferry.config.notifiers import NotifierSettings
from frameferry.domain.alarms import Alarm, AlarmKind
from frameferry.domain.status import Answer, Unasked
from frameferry.operations.monitor.message import alarm_message
from frameferry.operations.monitor.telling import (
    Memory,
    News,
    memory_from_json,
    memory_to_json,
    news,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BLOCKED = alarm_of("Blocked: 530", AlarmKind.BLOCKED)
STALE = alarm_of("16 min old", AlarmKind.FRESHNESS)
WELL = status_of("press-a")


def seen(*alarms: Alarm) -> Answer:
    return status_of("press-a", alarms=alarms)


def looks(*answers: Answer) -> list[News]:
    """Look once an answer, five minutes apart, with what is remembered kept as JSON between."""
    found: list[News] = []
    memory: Memory = {}
    for number, answer in enumerate(answers):
        found.append(news(memory, [answer], NOW + timedelta(minutes=5 * number)))
        memory = memory_from_json(json.loads(json.dumps(memory_to_json(found[-1].memory))))
    return found


def told(found: list[News]) -> list[tuple[list[str], list[str]]]:
    return [([one.alarm.key for one in n.new], [one.key for one in n.over]) for n in found]


def test_a_critical_alarm_is_told_at_once_and_once() -> None:
    found = looks(WELL, seen(BLOCKED), seen(BLOCKED), WELL, seen(BLOCKED))
    assert told(found) == [
        ([], []),
        (["blocked"], []),
        ([], []),
        ([], ["blocked"]),
        (["blocked"], []),
    ]


def test_a_warning_is_told_by_the_second_look_with_since_when_it_stands() -> None:
    later = replace(STALE, sentence="21 min old")
    found = looks(seen(STALE), seen(later), seen(later), WELL)
    assert told(found) == [([], []), (["freshness"], []), ([], []), ([], ["freshness"])]
    (new,) = found[1].new
    assert (new.since, new.alarm.sentence) == (NOW, "21 min old")


def test_a_warning_of_one_look_is_never_told_and_so_never_over() -> None:
    assert told(looks(seen(STALE), WELL, seen(STALE))) == [([], [])] * 3


def test_two_of_one_kind_are_two() -> None:
    scratch = alarm_of("…", AlarmKind.OFFSETS_LOST, about="gap 1")
    crack = alarm_of("…", AlarmKind.OFFSETS_LOST, about="gap 2")
    found = looks(seen(scratch), seen(scratch, crack), seen(crack))
    assert told(found) == [
        (["offsets_lost:gap 1"], []),
        (["offsets_lost:gap 2"], []),
        ([], ["offsets_lost:gap 1"]),
    ]


@pytest.mark.parametrize(
    "blind",
    [
        Unasked("press-a", "the ledger stays locked"),
        seen(alarm_of("no broker", AlarmKind.KAFKA_UNASKED)),
    ],
    ids=["ledger", "kafka"],
)
def test_what_cannot_be_seen_now_is_not_over(blind: Answer) -> None:
    found = looks(seen(BLOCKED), blind, blind, seen(BLOCKED), WELL)
    new, over = zip(*told(found), strict=True)
    assert [len(keys) for keys in new] == [1, 1, 0, 0, 0]
    assert over[3] == [blind.alarms[0].key]
    assert over[4] == ["blocked"]


def test_one_pipeline_is_not_another() -> None:
    other = status_of("press-b", alarms=(BLOCKED,))
    first = news({}, [seen(BLOCKED), other], NOW)
    assert [one.pipeline for one in first.new] == ["press-a", "press-b"]
    assert news(first.memory, [other], NOW).memory.keys() == {"press-b"}


@pytest.mark.parametrize("odd", [None, [], "x", {"press-a": []}, {"press-a": {"blocked": {}}}])
def test_a_memory_that_makes_no_sense_is_none(odd: object) -> None:
    assert memory_from_json(odd) == {}


def test_what_is_written_is_escaped_where_it_is_html_and_says_all() -> None:
    hostile = alarm_of("Label <script> is 31%", AlarmKind.LABEL_DRIFT, about="<script>")
    found = looks(seen(hostile, BLOCKED), seen(hostile))[1]
    message = alarm_message(found, NotifierSettings(notifier="a.B"))
    assert message is not None
    assert message.subject == "Frameferry: press-a: warning: label_drift"
    assert message.for_templates["html"] == (
        "<ul><li>press-a: warning: label_drift: Label &lt;script&gt; is 31%</li>"
        "<li>press-a: over: blocked, which stood since 2026-11-23 12:00 UTC</li></ul>"
    )
    assert message.for_templates["text"].count("\n") == 1
    (alarm,) = message.for_templates["alarms"]
    assert (alarm["kind"], alarm["since"]) == ("label_drift", NOW.isoformat())


def test_a_notifier_hears_only_what_it_wants() -> None:
    found = news({}, [seen(BLOCKED), status_of("press-b", alarms=(BLOCKED,))], NOW)
    both = alarm_message(found, NotifierSettings(notifier="a.B"))
    assert both is not None
    assert both.subject == "Frameferry: 2 new alarms of press-a, press-b"
    mine = alarm_message(found, NotifierSettings(notifier="a.B", pipelines=("press-b",)))
    assert mine is not None
    assert mine.subject == "Frameferry: press-b: critical: blocked"
    assert alarm_message(found, NotifierSettings(notifier="a.B", pipelines=("x",))) is None
    stale = looks(seen(STALE), seen(STALE))[1]
    assert alarm_message(stale, NotifierSettings(notifier="a.B", severity="critical")) is None
    assert alarm_message(stale, NotifierSettings(notifier="a.B")) is not None
