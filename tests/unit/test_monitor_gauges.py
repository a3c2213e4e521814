from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fixtures.page import alarm_of, status_of

from frameferry.domain.alarms import AlarmKind
from frameferry.domain.status import Answer, Backlog, PartitionStatus, Unasked
from frameferry.operations.monitor.gauges import ALL, samples

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def measured(*answers: Answer) -> dict[tuple[str, ...], float]:
    return {(one.gauge.name, *one.labels): one.value for one in samples(answers, NOW)}


def alarms_of(answer: Answer) -> dict[str, float]:
    found = measured(answer)
    return {key[2]: value for key, value in found.items() if key[0] == "alarms"}


def test_names_and_labels_are_ones_that_prometheus_takes() -> None:
    names = [gauge.full_name for gauge in ALL]
    assert len(names) == len(set(names))
    for gauge in ALL:
        assert gauge.full_name.replace("_", "").isalpha(), gauge
        assert gauge.help.endswith(".")


def test_what_is_measured_of_a_pipeline() -> None:
    found = measured(status_of("press-a"))
    assert found["lag_offsets", "press-a", "3"] == 3000
    assert found["oldest_unprocessed_age_seconds", "press-a"] == pytest.approx(192)
    assert found["retention_left_seconds", "press-a"] == pytest.approx(71.5 * 3600)
    assert found["records", "press-a", "delivered"] == 12321
    assert found["label_share", "press-a", "scratch", "before"] == 0.02
    assert found["looked_timestamp_seconds", "press-a"] == NOW.timestamp()


def test_what_is_not_known_has_no_sample_and_what_is_not_there_is_0() -> None:
    unknown = replace(status_of("press-a"), backlog=Backlog(), last_delivered_at=None)
    found = measured(unknown)
    for name in ("oldest_unprocessed_age_seconds", "last_delivered_timestamp_seconds"):
        assert (name, "press-a") not in found
    nothing_waits = replace(unknown, partitions=(PartitionStatus(0, 0, 5, 5, 5, 0, 0, None),))
    assert measured(nothing_waits)["oldest_unprocessed_age_seconds", "press-a"] == 0


def test_an_alarm_that_does_not_stand_is_0_so_that_statsd_hears_that_it_is_over() -> None:
    lost = [alarm_of("…", AlarmKind.OFFSETS_LOST, about=f"gap {one}") for one in (1, 2)]
    found = alarms_of(status_of("press-a", alarms=tuple(lost)))
    assert found == {kind.value: 2 if kind is AlarmKind.OFFSETS_LOST else 0 for kind in AlarmKind}


@pytest.mark.parametrize(
    ("blind", "kind"),
    [
        (Unasked("press-a", "the ledger stays locked"), "unasked"),
        (status_of("press-a", alarms=(alarm_of("…", AlarmKind.KAFKA_UNASKED),)), "kafka_unasked"),
    ],
)
def test_where_nobody_can_tell_no_alarm_is_said_to_be_over(blind: Answer, kind: str) -> None:
    assert alarms_of(blind) == {kind: 1}


def test_one_that_could_not_be_asked_has_only_what_says_so() -> None:
    found = measured(Unasked("press-a", "the ledger stays locked"))
    assert {key[0] for key in found} == {"looked_timestamp_seconds", "asked", "healthy", "alarms"}
    assert (found["asked", "press-a"], found["healthy", "press-a"]) == (0, 0)
