"""What pruning left of a batch can be replayed; what it removed cannot."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.ledgers import PIPELINE, add_replay, claim, deliver, record, row
from test_ledger_pruning import aged, committed, run

from frameferry.domain.batch import ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError
from frameferry.ledger.store import Ledger


def replay(ledger: Ledger, start: int, end: int, mode: ReplayMode = "reinfer") -> int:
    return add_replay(ledger, mode, OffsetRange(0, start, end))


@pytest.fixture
def partly(press: Ledger, tmp_path: Path) -> Ledger:
    """Offsets 0 to 6, of which 3 is in quarantine and 5 is a marker; all else was pruned."""
    said = [row(0, at) for at in (0, 1, 2, 4)]
    said.insert(3, row(0, 3, quarantine=("damaged", "")))
    aged(press, committed(press, OffsetRange(0, 0, 6), said=said))
    assert 4 == run(press, tmp_path).records
    return press


@pytest.mark.parametrize("mode", ["reinfer", "redeliver"])
def test_a_quarantined_record_that_pruning_left_is_replayed(
    partly: Ledger, mode: ReplayMode
) -> None:
    batch = claim(partly, replay(partly, 3, 4, mode))
    if mode == "reinfer":
        record(partly, batch.token, [row(0, 3)])
    deliver(partly, batch)
    partly.commit(batch.id)
    expected = [] if mode == "reinfer" else [3]
    assert expected == [one.offset for one in partly.quarantined(PIPELINE)]
    assert [3] == [one.offset for one in partly.records(PIPELINE)]


def test_the_totals_keep_what_was_pruned_where_a_replay_takes_the_place_of_the_rest(
    partly: Ledger,
) -> None:
    before = partly.counts(PIPELINE)
    assert (5, 4, 1) == (before.records, before.delivered, before.quarantined)
    batch = claim(partly, replay(partly, 3, 4))
    record(partly, batch.token, [row(0, 3)])
    deliver(partly, batch)
    for _ in range(2):
        after = partly.counts(PIPELINE)
        assert (5, 5, 0) == (after.records, after.delivered, after.quarantined)
        partly.commit(batch.id)
    assert {"good": 5} == after.labels


@pytest.mark.parametrize(
    ("start", "end", "rowless"), [(2, 4, 1), (0, 6, 5), (0, 1, 1), (3, 5, 1), (4, 5, 1)]
)
@pytest.mark.parametrize("mode", ["reinfer", "redeliver"])
def test_a_range_that_lacks_rows_is_refused_and_says_how_many(
    partly: Ledger, start: int, end: int, rowless: int, mode: ReplayMode
) -> None:
    says = rf"{rowless} offsets of 0:\[{start}, {end}\) have no row: records of batch 1 were pruned"
    with pytest.raises(ConfigError, match=says):
        replay(partly, start, end, mode)


def test_only_the_part_of_a_range_that_was_pruned_stands_in_the_way(
    partly: Ledger, tmp_path: Path
) -> None:
    committed(partly, OffsetRange(0, 6, 9), said=[row(0, 6), row(0, 8)])
    with pytest.raises(ConfigError, match=r"2 offsets of 0:\[4, 6\) have no row"):
        replay(partly, 4, 9)
    assert replay(partly, 6, 9)


def test_rows_that_a_replay_took_the_place_of_are_pruned_and_nothing_is_lacking(
    press: Ledger, tmp_path: Path
) -> None:
    """Offset 1 is a marker: that it has no row is not the pruning's doing."""
    old = committed(press, OffsetRange(0, 0, 3), said=[row(0, 0), row(0, 2)])
    batch = claim(press, replay(press, 0, 3))
    record(press, batch.token, [row(0, at, label="scratch") for at in (0, 2)])
    deliver(press, batch)
    press.commit(batch.id)
    aged(press, old)
    assert 2 == run(press, tmp_path).records
    assert replay(press, 0, 3)
