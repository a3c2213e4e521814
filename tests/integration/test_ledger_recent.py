"""What ended lately, by the database's clock: shares of labels, quarantine, offsets carried."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fixtures.ledgers import (
    LATELY,
    PIPELINE,
    add_replay,
    aged,
    claim,
    deliver,
    judged,
    plan,
    record,
    row,
)

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction
from frameferry.domain.state import Ended, Overview
from frameferry.ledger.store import Ledger

HOUR = timedelta(hours=1)
Label = Callable[[int], str | None]


def said(start: int, labels: list[str | None], quarantined: int = 0) -> list[NamedPrediction]:
    rows = [row(0, start + at, label=label) for at, label in enumerate(labels)]
    first = start + len(labels)
    return rows + [row(0, first + at, quarantine=("damaged", "")) for at in range(quarantined)]


def carry(
    ledger: Ledger, start: int, labels: list[str | None], quarantined: int = 0, **age: float
) -> int:
    """Carry a batch that was committed so long ago; return where the next begins."""
    end = start + len(labels) + quarantined
    batch = judged(ledger, OffsetRange(0, start, end), said=said(start, labels, quarantined))
    deliver(ledger, batch)
    ledger.commit(batch.id)
    aged(ledger, batch.id, timedelta(**age))
    return end


def overview(ledger: Ledger, **changes: Any) -> Overview:
    return ledger.overview(PIPELINE, **{**LATELY, **changes})


def test_what_was_committed_within_a_time_is_counted_by_label(press: Ledger) -> None:
    at = carry(press, 0, ["good"] * 5, days=9)
    at = carry(press, at, ["good"] * 3 + ["crack"], quarantined=1, days=3)
    at = carry(press, at, ["good", "crack", None], quarantined=2, hours=5)
    carry(press, at, ["crack"], quarantined=1, minutes=10)
    found = overview(press)
    assert found.last_hour == Ended({"crack": 1}, unjudged=0, quarantined=1)
    assert found.recent == Ended({"crack": 2, "good": 1}, unjudged=1, quarantined=3)
    assert found.before == Ended({"crack": 1, "good": 3}, unjudged=0, quarantined=1)
    assert (found.recent.judged, found.recent.pictures) == (3, 7)


def test_a_longer_time_takes_more(press: Ledger) -> None:
    at = carry(press, 0, ["good"] * 5, days=9)
    carry(press, at, ["crack"], days=3)
    found = overview(press, recent=timedelta(days=4))
    assert (found.recent.labels, found.before.labels) == ({"crack": 1}, {"good": 5})


def test_what_is_not_committed_did_not_end(press: Ledger) -> None:
    judged(press, OffsetRange(0, 0, 2))
    assert overview(press).last_hour.pictures == 0


def test_a_replay_is_nothing_that_ended_lately(press: Ledger) -> None:
    carry(press, 0, ["good"] * 4, days=3)
    again = claim(press, add_replay(press, "reinfer", OffsetRange(0, 0, 2)))
    record(press, again.token, said(0, ["crack"] * 2))
    deliver(press, again)
    press.commit(again.id)
    assert overview(press).recent.labels == {}
    assert overview(press).before.labels == {"good": 2}


def test_an_unknown_pipeline_has_nothing(press: Ledger) -> None:
    found = press.overview("nobody", **LATELY)
    assert found.recent.pictures == found.before.pictures == 0
    assert (found.carried, found.delivered_at) == ((), None)


def test_offsets_are_carried_since_each_look(press: Ledger) -> None:
    at = carry(press, 0, ["good"] * 5, hours=2)
    at = carry(press, at, ["good"] * 3, minutes=20)
    carry(press, at, ["good"], quarantined=1, minutes=5)
    plan(press, OffsetRange(1, 0, 9))
    assert overview(press).carried == ({0: 5}, {0: 2})


def test_a_pipeline_that_began_after_the_earliest_look_has_carried_nothing_that_tells(
    press: Ledger,
) -> None:
    assert overview(press).carried == ()
    carry(press, 0, ["good"], minutes=29)
    assert overview(press).carried == ()


def test_the_newest_delivery_is_told(press: Ledger) -> None:
    assert overview(press).delivered_at is None
    carry(press, 0, ["good"], hours=2)
    found = overview(press)
    assert found.delivered_at is not None
    assert found.state is not None
    age = found.state.now - found.delivered_at
    assert age == pytest.approx(timedelta(hours=2), abs=timedelta(minutes=1))
