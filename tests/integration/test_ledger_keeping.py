"""Which pictures in quarantine should have a kept copy, have one, or lack one."""

from __future__ import annotations

import pytest
from fixtures.ledgers import PIPELINE, deliver, judged, row

from frameferry.domain.keeping import Place
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import OneRecord
from frameferry.ledger.store import Ledger

TORN = ("truncated", "ends early")
FIRST_MS = 1_763_000_000_000


@pytest.fixture
def torn(press: Ledger) -> Ledger:
    """Pictures of ten bytes: 1 to 3 of partition 0 are torn; 1:0 as well, and not committed."""
    said = [row(0, at, value=b"%010d" % at, quarantine=TORN if at else None) for at in range(4)]
    batch = judged(press, OffsetRange(0, 0, 4), said=said)
    deliver(press, batch)
    press.commit(batch.id)
    judged(press, OffsetRange(1, 0, 1), said=[row(1, 0, value=b"x" * 10, quarantine=TORN)])
    return press


def wanted(ledger: Ledger, max_bytes: int) -> list[tuple[int, int]]:
    found = ledger.to_keep(PIPELINE, max_bytes)
    return [(one.place.partition, one.place.offset) for one in found]


def keep(ledger: Ledger, *offsets: int) -> None:
    found = [ledger.set_aside_at(PIPELINE, 0, at) for at in offsets]
    ledger.note_kept({one.record_id: one.place.file_name for one in found if one})


def test_the_newest_that_fit_should_be_kept(torn: Ledger) -> None:
    assert [(1, 0), (0, 3), (0, 2), (0, 1)] == wanted(torn, 40)
    assert [(1, 0), (0, 3)] == wanted(torn, 29)
    assert [] == wanted(torn, 9)
    assert [] == torn.to_keep("nobody", 40)
    torn.resolve_quarantined(PIPELINE, OneRecord(0, 3), because="seen", who="anna")
    assert [(1, 0), (0, 2)] == wanted(torn, 29)


def test_a_copy_is_noted_counted_and_taken_back(torn: Ledger) -> None:
    keep(torn, 1, 2)
    assert (4, 2) == (torn.counts(PIPELINE).quarantined, torn.counts(PIPELINE).kept)
    one = torn.set_aside_at(PIPELINE, 0, 2)
    assert one is not None
    assert (Place(1, 0, 2), 10, one.place.file_name) == (one.place, one.size_bytes, one.kept_copy)
    torn.note_kept({one.record_id: None})
    assert 1 == torn.counts(PIPELINE).kept


def test_only_what_is_in_quarantine_is_set_aside(torn: Ledger) -> None:
    assert torn.set_aside_at(PIPELINE, 0, 0) is None
    assert torn.set_aside_at("nobody", 0, 1) is None
    torn.resolve_quarantined(PIPELINE, OneRecord(0, 1), because="seen", who="anna")
    places = [Place(1, 0, at) for at in range(6)] + [Place(2, 0, 1)]
    found = [one.place.offset for one in torn.still_set_aside(PIPELINE, places)]
    assert [1, 2, 3] == found


def test_what_lacks_a_copy_is_told_of_what_is_committed_and_held(torn: Ledger) -> None:
    keep(torn, 1)
    found = torn.unkept(PIPELINE, {0: 0, 1: 0})
    assert {0} == set(found), "what is not delivered yet has time"
    assert (2, 2) == (found[0].number, found[0].first_offset)
    assert found[0].oldest_at is not None
    assert FIRST_MS + 2 == round(found[0].oldest_at.timestamp() * 1000)
    assert 1 == torn.unkept(PIPELINE, {0: 3})[0].number
    assert {} == torn.unkept(PIPELINE, {0: 4, 1: 0, 7: 0})
    assert {} == torn.unkept("nobody", {0: 0})
