"""Quarantines that a person is done with: open no more, and never forgotten."""

from __future__ import annotations

import pytest
from fixtures.ledgers import PIPELINE, add_replay, claim, count, deliver, judged, put, record, row
from sqlalchemy import text

from frameferry.domain.batch import Batch
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import OneRecord, Quarantined
from frameferry.errors import ConfigError
from frameferry.ledger.store import Ledger

TORN = ("truncated", "ends early")
ALL = OffsetRange(0, 0, 5)


def said(*torn: int) -> list:
    return [row(0, at, quarantine=TORN if at in torn else None) for at in range(5)]


@pytest.fixture
def torn(press: Ledger) -> Ledger:
    """Five pictures, of which 1 and 3 are torn and 4 is empty."""
    rows = [*said(1, 3)[:4], row(0, 4, quarantine=("empty", ""))]
    batch = judged(press, ALL, said=rows)
    deliver(press, batch)
    press.commit(batch.id)
    return press


def resolve(ledger: Ledger, what: OneRecord | Quarantined) -> int:
    return ledger.resolve_quarantined(PIPELINE, what, because="a test of the lamp", who="anna")


def still_open(ledger: Ledger) -> list[int]:
    return [one.offset for one in ledger.quarantined(PIPELINE)]


def finished(ledger: Ledger, batch: Batch) -> None:
    put(ledger, batch)
    ledger.record_census(batch.token, count(ledger, batch), seconds=1.0)
    ledger.commit(batch.id)


def test_all_of_a_reason_are_resolved_and_stay_in_the_ledger(torn: Ledger) -> None:
    assert 2 == resolve(torn, Quarantined("truncated"))
    assert [4] == still_open(torn)
    counts = torn.counts(PIPELINE)
    assert (3, 2, {"empty": 1}) == (counts.quarantined, counts.resolved, counts.reasons)
    listed = torn.quarantined(PIPELINE, with_resolved=True)
    known = [(one.offset, one.resolved_by, one.resolved_how) for one in listed]
    because = ("anna", "a test of the lamp")
    assert [(1, *because), (3, *because), (4, None, None)] == known
    assert all((one.resolved_at is None) == (one.offset == 4) for one in listed)


def test_one_record_is_resolved_and_the_person_is_on_record(torn: Ledger) -> None:
    assert 1 == resolve(torn, OneRecord(0, 3))
    assert [1, 4] == still_open(torn)
    with torn._transactions.read() as connection:
        query = text("SELECT who, detail FROM action WHERE what = 'resolve quarantine'")
        assert [("anna", "1 of record 0:3: a test of the lamp")] == connection.execute(query).all()


@pytest.mark.parametrize("what", [OneRecord(0, 0), OneRecord(1, 3), Quarantined("animated")])
def test_what_is_not_in_quarantine_is_refused_by_what_is(
    torn: Ledger, what: OneRecord | Quarantined
) -> None:
    with pytest.raises(ConfigError, match=rf"{what}.*Open are: empty \(1\), truncated \(2\)"):
        resolve(torn, what)
    assert [1, 3, 4] == still_open(torn)


def test_a_second_time_nothing_is_left_to_resolve(torn: Ledger) -> None:
    resolve(torn, OneRecord(0, 1))
    with pytest.raises(ConfigError, match="nothing that is open"):
        resolve(torn, OneRecord(0, 1))


def test_a_redeliver_does_not_open_what_was_resolved_before(torn: Ledger) -> None:
    resolve(torn, Quarantined("truncated"))
    finished(torn, claim(torn, add_replay(torn, "redeliver", ALL)))
    assert [4] == still_open(torn)
    assert 2 == torn.counts(PIPELINE).resolved


def test_a_redeliver_does_not_open_what_was_resolved_meanwhile(torn: Ledger) -> None:
    batch = claim(torn, add_replay(torn, "redeliver", ALL))
    assert 2 == resolve(torn, Quarantined("truncated"))
    finished(torn, batch)
    assert [4] == still_open(torn)


def test_what_is_judged_again_and_still_torn_is_open_again(torn: Ledger) -> None:
    resolve(torn, Quarantined("truncated"))
    batch = claim(torn, add_replay(torn, "reinfer", ALL))
    record(torn, batch.token, said(3))
    finished(torn, batch)
    assert [3] == still_open(torn)
    assert (1, 0) == (torn.counts(PIPELINE).quarantined, torn.counts(PIPELINE).resolved)
