"""Replays into another base: their rows hold names and files of their own, and never stand."""

from __future__ import annotations

import pytest
from fixtures.ledgers import (
    PIPELINE,
    add_replay,
    claim,
    deliver,
    judged,
    record,
    row,
)

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.replay import Relocation
from frameferry.domain.selection import Ranges
from frameferry.ledger.store import Ledger

WANTED = OffsetRange(0, 0, 4)
ELSEWHERE = Relocation("/p", "/q")
BAD = row(0, 3, path="/p/d", quarantine=("truncated", "ends early"))
SAID = [row(0, 0, value=b"x", path="/p/A"), row(0, 1, value=b"x", path="/p/a"), row(0, 2), BAD]


@pytest.fixture
def shipped(press: Ledger) -> Ledger:
    """Offset 0 delivered, 1 its duplicate, 2 outside /p, 3 quarantined; all committed."""
    batch = judged(press, WANTED, said=SAID)
    deliver(press, batch)
    press.commit(batch.id)
    return press


def told(ledger: Ledger) -> object:
    """Tell all that is said of what stands, and how often."""
    counts = ledger.counts(PIPELINE)
    return ledger.records(PIPELINE), ledger.quarantined(PIPELINE), counts.delivered, counts.labels


def copy(ledger: Ledger, *ranges: OffsetRange, relocation: Relocation = ELSEWHERE) -> list[str]:
    """Copy ranges; return the paths of the files that were put."""
    batch = claim(ledger, add_replay(ledger, "redeliver", *ranges, relocation=relocation))
    paths = [item.remote_path for item in ledger.consignments(batch.token)]
    deliver(ledger, batch)
    ledger.commit(batch.id)
    return paths


def test_what_was_a_duplicate_has_a_file_among_copies_if_its_original_has_none(
    shipped: Ledger,
) -> None:
    before = told(shipped)
    assert ["/q/a"] == copy(shipped, OffsetRange(0, 1, 2))
    # Now the first record's copy leans on that file, as the second's once did on the first's.
    assert [] == copy(shipped, OffsetRange(0, 0, 1))
    assert ["/r/A"] == copy(shipped, OffsetRange(0, 0, 2), relocation=Relocation("/p", "/r"))
    assert before == told(shipped)


def test_a_base_of_one_slash_is_left_behind_whole(shipped: Ledger) -> None:
    assert ["/q/p/A"] == copy(shipped, OffsetRange(0, 0, 1), relocation=Relocation("/", "/q"))


def test_judged_anew_for_another_base_it_resolves_no_quarantine_and_takes_no_name(
    shipped: Ledger,
) -> None:
    before = told(shipped)
    batch = claim(shipped, add_replay(shipped, "reinfer", WANTED, relocation=ELSEWHERE))
    said = [row(0, at, path=f"/q/{at}", label="bad") for at in range(3)]
    record(shipped, batch.token, [*said, row(0, 3, quarantine=("too dark", "black"))])
    assert before == told(shipped)
    deliver(shipped, batch)
    shipped.commit(batch.id)
    assert before == told(shipped)
    again = claim(shipped, add_replay(shipped, "reinfer", WANTED))
    record(shipped, again.token, [row(0, 0, value=b"x", path="/p/A", label="unsure"), *SAID[1:]])
    deliver(shipped, again)
    assert {"unsure": 1, "good": 2} == shipped.counts(PIPELINE).labels


def test_an_offset_for_which_nothing_stands_goes_on_without(press: Ledger) -> None:
    batch = judged(press, WANTED, said=SAID[:3])
    deliver(press, batch)
    press.commit(batch.id)
    before = told(press)
    copies = claim(press, add_replay(press, "reinfer", WANTED, relocation=ELSEWHERE))
    record(press, copies.token, [row(0, 3, path="/q/3")])
    deliver(press, copies)
    assert before == told(press)


def test_only_the_same_base_takes_an_open_copy_up(shipped: Ledger) -> None:
    add_replay(shipped, "redeliver", WANTED, relocation=ELSEWHERE)
    found = shipped.open_replay(PIPELINE, Ranges((WANTED,)), "redeliver", "/q")
    assert found is not None
    assert "/q" == found.into
    assert shipped.open_replay(PIPELINE, Ranges((WANTED,)), "redeliver") is None
    assert shipped.open_replay(PIPELINE, Ranges((WANTED,)), "redeliver", "/r") is None
    assert ["/q"] == shipped.replay_bases(PIPELINE)
