from __future__ import annotations

import pytest

from frameferry.domain.alarms import CRITICAL, Alarm, AlarmKind, Severity, worst_first


@pytest.mark.parametrize("kind", AlarmKind)
def test_a_kind_has_one_severity(kind: AlarmKind) -> None:
    expected = Severity.CRITICAL if kind in CRITICAL else Severity.WARNING
    assert Alarm(kind, "…").severity is expected


def test_the_key_stays_while_the_sentence_changes() -> None:
    first = Alarm(AlarmKind.FRESHNESS, "16 min old", partition=0, offset=7)
    later = Alarm(AlarmKind.FRESHNESS, "21 min old", partition=3, offset=9)
    assert first.key == later.key == "freshness"
    assert Alarm(AlarmKind.LABEL_DRIFT, "…", about="scratch").key == "label_drift:scratch"


def test_critical_ones_come_first_and_the_rest_as_they_came() -> None:
    kinds = [AlarmKind.QUOTA, AlarmKind.BLOCKED, AlarmKind.REMARK, AlarmKind.RETENTION]
    ordered = worst_first(Alarm(kind, "…") for kind in kinds)
    assert [alarm.kind for alarm in ordered] == ["blocked", "retention", "quota", "remark"]
