from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from frameferry.domain.offsets import Retention
from frameferry.operations.alarms import (
    Figures,
    Limits,
    Waiting,
    alarms,
    figure,
    forgetting,
    hanging,
    nobody_carries,
    not_kept,
)
from frameferry.planning.pace import Pace
from frameferry.planning.sizing import Budget

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LIMITS = Limits(retention_hours=12, freshness_minutes=15, target_seconds=60)
BUDGET = Budget(max_records=1000, max_bytes=10**9, target_seconds=60)
PACE = Pace(
    fixed_seconds=6,
    sure_fixed_seconds=6,
    marginal_seconds=0.09,
    bytes_per_record=1000,
    records_per_offset=0.5,
    longest_offsets=6,
    recent_seconds=5.3,
    recent_offsets=6,
)
"""Ten pictures a second in batches of 600, 500 bytes an offset."""
WEEK = Retention(seconds=7 * 86_400)
NOTHING_WAITS = Waiting(lag=0, arrived=0, seconds=900)


def ago(**age: float) -> datetime:
    return NOW - timedelta(**age)


def test_nothing_waiting_is_no_alarm() -> None:
    figures = figure({0: NOTHING_WAITS}, PACE, BUDGET, WEEK, NOW)
    assert figures == Figures(arrivals_per_second=0, service_per_second=pytest.approx(10))
    assert alarms(figures, LIMITS) == []
    assert alarms(Figures(), LIMITS) == []


def test_the_oldest_of_all_partitions_counts() -> None:
    waiting = {
        0: Waiting(5, 0, 900, ago(minutes=3)),
        1: Waiting(5, 0, 900, ago(minutes=20)),
        2: Waiting(5, 0, 900, None),
    }
    figures = figure(waiting, PACE, BUDGET, WEEK, NOW)
    assert (figures.oldest_at, figures.oldest_seconds) == (ago(minutes=20), 1200)
    assert figures.expires_in_seconds == 7 * 86_400 - 1200


@pytest.mark.parametrize(
    "moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)]
)
def test_a_camera_that_lost_its_clock_raises_no_alarm(moment: datetime) -> None:
    figures = figure({0: Waiting(5, 0, 900, moment)}, PACE, BUDGET, WEEK, NOW)
    assert (figures.oldest_at, figures.expires_in_seconds) == (None, None)


def test_a_picture_that_waits_too_long_is_said_with_its_time_and_the_setting() -> None:
    stale = Figures(oldest_at=ago(minutes=62), oldest_seconds=62 * 60)
    (alarm,) = alarms(stale, LIMITS)
    assert alarm.sentence == (
        "The oldest unprocessed picture is of 2026-11-23 10:58:00 UTC, 62 min old "
        "(watch.freshness_minutes: 15). See the open batches for what holds it up"
    )
    assert alarms(replace(stale, oldest_seconds=15 * 60), LIMITS) == []
    assert alarms(replace(stale, oldest_seconds=15 * 60 + 1), LIMITS)


@pytest.mark.parametrize(
    ("hours", "says"),
    [(11.5, "expires in 12 h (watch"), (2, "expires in 2 h"), (-1, "may expire at any moment")],
)
def test_a_picture_that_kafka_will_soon_forget_is_said(hours: float, says: str) -> None:
    (alarm,) = alarms(Figures(expires_in_seconds=hours * 3600), LIMITS)
    assert says in alarm.sentence
    assert "Raise the topic's retention" in alarm.sentence
    assert alarms(Figures(expires_in_seconds=12 * 3600), LIMITS) == []


def test_a_topic_kept_by_its_size_forgets_as_fast_as_pictures_come() -> None:
    """1,000,000 bytes hold 2,000 offsets of 500 bytes; 900 wait, one comes in a second."""
    small = Retention(bytes=1_000_000)
    waiting = {0: Waiting(900, 900, 900), 1: Waiting(100, 90, 900), 2: NOTHING_WAITS}
    assert figure(waiting, PACE, BUDGET, small, NOW).expires_in_seconds == pytest.approx(1100)
    assert figure(waiting, None, BUDGET, small, NOW).expires_in_seconds is None
    quiet = {0: Waiting(900, 0, 900)}
    assert figure(quiet, PACE, BUDGET, small, NOW).expires_in_seconds is None
    overfull = {0: Waiting(2900, 900, 900)}
    assert figure(overfull, PACE, BUDGET, small, NOW).expires_in_seconds == pytest.approx(-900)


def test_the_sooner_of_age_and_size_counts() -> None:
    both = Retention(seconds=3600, bytes=1_000_000)
    waiting = {0: Waiting(900, 900, 900, ago(minutes=59))}
    assert figure(waiting, PACE, BUDGET, both, NOW).expires_in_seconds == 60
    waiting = {0: Waiting(900, 900, 900, ago(minutes=1))}
    assert figure(waiting, PACE, BUDGET, both, NOW).expires_in_seconds == pytest.approx(1100)


def test_a_topic_that_forgets_nothing_expires_nothing() -> None:
    waiting = {0: Waiting(900, 900, 900, ago(days=400))}
    assert figure(waiting, PACE, BUDGET, Retention(), NOW).expires_in_seconds is None


def test_markers_are_no_arrivals() -> None:
    waiting = {0: Waiting(100, 900, 900), 1: Waiting(0, 900, 900)}
    figures = figure(waiting, PACE, BUDGET, WEEK, NOW)
    assert (figures.lag, figures.arrivals_per_second) == (50, 1)
    assert figure(waiting, None, BUDGET, WEEK, NOW).arrivals_per_second == 2


def test_falling_behind_is_more_arriving_than_goes_with_more_waiting_than_a_batch() -> None:
    behind = Figures(lag=12_400, arrivals_per_second=12, service_per_second=10)
    (alarm,) = alarms(behind, LIMITS)
    assert alarm.sentence.startswith(
        "Falling behind: 720 pictures a minute arrive, 600 can be carried; 12,400 pictures wait."
    )
    assert alarms(replace(behind, arrivals_per_second=10), LIMITS) == []
    assert alarms(replace(behind, lag=600), LIMITS) == []
    assert alarms(replace(behind, service_per_second=None), LIMITS) == []


def test_what_can_be_carried_is_not_known_where_no_record_was_met() -> None:
    markers = replace(PACE, records_per_offset=0.0)
    assert figure({0: NOTHING_WAITS}, markers, BUDGET, WEEK, NOW).service_per_second is None


def test_a_transaction_is_said_once_it_hangs() -> None:
    alarm = hanging(3, 7, ago(minutes=14), NOW)
    assert alarm is not None
    assert (alarm.key, alarm.partition) == ("hanging_transaction:3", 3)
    assert alarm.sentence == (
        "An open transaction holds back 7 offsets of partition 3 since 2026-11-23 11:46:00 UTC. "
        "Wait for it, or end it: kafka-transactions.sh find-hanging"
    )
    assert hanging(3, 7, ago(seconds=59), NOW) is None
    assert hanging(3, 0, ago(minutes=14), NOW) is None
    lost_clock = datetime(1970, 1, 1, tzinfo=UTC)
    for since in (None, lost_clock):
        said = hanging(3, 1, since, NOW)
        assert said is not None
        assert said.sentence.startswith(
            "An open transaction holds back 1 offset of partition 3. Wait"
        )


def test_partitions_that_nobody_owns_are_named() -> None:
    assert nobody_carries("press", ()) == []
    assert nobody_carries("press", (4,))[0].sentence.startswith(
        "No pipeline owns partition 4 of topic press, so"
    )
    assert nobody_carries("press", (4, 7))[0].sentence.startswith(
        "No pipeline owns partitions 4, 7 of topic press"
    )


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (None, []),
        (12 * 3600, []),
        (5 * 3600, ["3 pictures in quarantine are not kept", "forget the first in 5 h"]),
        (-1, ["forget the first at any moment"]),
    ],
)
def test_what_kafka_is_about_to_forget_of_a_quarantine_is_said(
    seconds: float | None, says: list[str]
) -> None:
    lines = forgetting(3, Figures(expires_in_seconds=seconds), 12)
    assert bool(says) == bool(lines)
    assert all(part in lines[0].sentence for part in says)
    assert forgetting(0, Figures(expires_in_seconds=1), 12) == []


def test_a_copy_that_is_missing_is_said_where_copies_are_wanted() -> None:
    folder = Path("/home/quarantine/press-a")
    [alarm] = not_kept(2, 1024**3, folder)
    line = alarm.sentence
    assert "2 pictures in quarantine have no kept copy" in line
    assert "quarantine.keep_bytes (1.1 GB) is used up" in line
    assert str(folder) in line
    assert not_kept(2, 0, folder) == not_kept(0, 1024**3, folder) == []
