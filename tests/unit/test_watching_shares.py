from __future__ import annotations

import pytest

from frameferry.config.settings import WatchSettings
from frameferry.domain.state import Ended
from frameferry.operations.shares import drifting, label_shares, quarantining

WATCH = WatchSettings()


def of(quarantined: int = 0, **labels: int) -> Ended:
    return Ended(labels=labels, unjudged=0, quarantined=quarantined)


def test_more_in_quarantine_than_may_be_is_said_with_the_share_and_the_command() -> None:
    (alarm,) = quarantining("press-a", of(12, good=288), WATCH)
    assert alarm.key == "quarantine_rate"
    assert alarm.sentence == (
        "12 of the last hour's 300 pictures went to quarantine (watch.quarantine_share: 0.02). "
        "See their reasons: frameferry quarantine press-a"
    )


@pytest.mark.parametrize(
    ("ended", "is_said"),
    [
        (of(5, good=0), True),
        (of(4, good=0), False),
        (of(6, good=294), False),
        (of(7, good=293), True),
        (of(0), False),
    ],
)
def test_a_share_is_said_only_above_the_bound_and_of_at_least_five(
    ended: Ended, *, is_said: bool
) -> None:
    assert bool(quarantining("press-a", ended, WATCH)) is is_said


def test_pictures_without_a_label_are_pictures() -> None:
    assert quarantining("press-a", Ended({}, unjudged=1000, quarantined=6), WATCH) == []


def test_a_label_that_comes_more_often_than_it_did_is_said() -> None:
    found = drifting(of(good=690, scratch=310), of(good=920, scratch=80), WATCH)
    assert [alarm.key for alarm in found] == ["label_drift:good", "label_drift:scratch"]
    assert found[1].sentence.startswith(
        "Label scratch is 31% of the 1,000 pictures judged in the last 24 h, and was 8% in the 7 "
        "days before (watch.drift_share: 0.2). Look at pictures of it"
    )


@pytest.mark.parametrize(
    ("recent", "before"),
    [
        (of(good=99), of(scratch=1000)),
        (of(good=1000), of(scratch=99)),
        (of(good=80, scratch=20), of(good=100)),
    ],
    ids=["few lately", "few before", "as much as may be"],
)
def test_few_pictures_and_small_changes_are_no_drift(recent: Ended, before: Ended) -> None:
    assert drifting(recent, before, WATCH) == []


def test_the_settings_say_how_many_and_how_much() -> None:
    watch = WatchSettings(drift_pictures=10, drift_share=0.5)
    assert drifting(of(good=10), of(scratch=10), watch)
    assert drifting(of(good=5, scratch=5), of(scratch=10), watch) == []


def test_a_label_that_is_new_or_gone_has_a_share_of_nothing() -> None:
    assert label_shares(of(crack=1), of(good=1)) == {"crack": (1, 0), "good": (0, 1)}
    assert label_shares(of(), of(good=1)) == {"good": (0, 1)}
