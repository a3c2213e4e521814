"""Replays: over committed offsets only, one at a time, standing rows move with the receipt."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from fixtures.ledgers import (
    DESTINATION,
    PIPELINE,
    add_replay,
    carried,
    claim,
    count,
    deliver,
    intend,
    judged,
    put,
    receive,
    record,
    row,
    rows,
)
from sqlalchemy import func, select

from frameferry.domain.batch import Batch, ReplayMode
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction
from frameferry.domain.selection import Ranges
from frameferry.errors import BatchUnfinished, ConfigError
from frameferry.ledger.database import tables
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

WANTED = OffsetRange(0, 0, 4)
BAD = row(0, 3, quarantine=("truncated", "ends early"))


@pytest.fixture
def shipped(press: Ledger) -> Ledger:
    """Offsets 0 to 2 of partition 0 delivered, 3 quarantined, all committed; 4 and 5 open."""
    batch = judged(press, WANTED, said=[*rows([OffsetRange(0, 0, 3)]), BAD])
    deliver(press, batch)
    press.commit(batch.id)
    judged(press, OffsetRange(0, 4, 6))
    return press


def _replay(ledger: Ledger, mode: ReplayMode, *ranges: OffsetRange) -> Batch:
    return claim(ledger, add_replay(ledger, mode, *(ranges or [WANTED])))


def _standing(ledger: Ledger) -> dict[int, tuple[int, str | None]]:
    lines = ledger.records(PIPELINE)
    return {line.offset: (line.batch, line.label) for line in lines if line.offset < 4}


def _finish(ledger: Ledger, batch: Batch) -> None:
    deliver(ledger, batch)
    ledger.commit(batch.id)


def test_what_a_redeliver_would_send_elsewhere_is_found(shipped: Ledger) -> None:
    [first, *_] = shipped.records(PIPELINE)
    base = first.remote_path.rpartition("/")[0]

    def elsewhere(*bounds: int, at: str = DESTINATION, below: str = base) -> object:
        wanted = [OffsetRange(0, *bounds)]
        return shipped.standing_elsewhere(PIPELINE, wanted, destination=at, base=below)

    assert elsewhere(0, 4) is None
    assert (DESTINATION, first.remote_path) == elsewhere(0, 4, at="ftp://b@other:21")
    assert (DESTINATION, first.remote_path) == elsewhere(0, 4, below=base[:-1])
    # A picture in quarantine is not sent again, and beyond are no files yet.
    assert elsewhere(3, 6, at="ftp://b@other:21") is None


def test_only_committed_offsets_are_replayed(shipped: Ledger) -> None:
    for beyond in (OffsetRange(0, 3, 5), OffsetRange(0, 4, 6), OffsetRange(9, 0, 1)):
        with pytest.raises(ConfigError, match=r"not committed yet: the committed offset is [04]"):
            _replay(shipped, "redeliver", beyond)
    with pytest.raises(ConfigError, match="at least one range"):
        shipped.add_replay(
            PIPELINE,
            selection=Ranges((WANTED,)),
            mode="reinfer",
            pieces=[],
            sentence="",
            config_digest="",
            who="anna",
        )


def test_one_open_replay_may_hold_an_offset(shipped: Ledger) -> None:
    first = _replay(shipped, "redeliver", OffsetRange(0, 1, 3))
    for rival in (OffsetRange(0, 0, 2), OffsetRange(0, 2, 4), OffsetRange(0, 1, 3)):
        with pytest.raises(
            ConfigError,
            match=rf"{re.escape(str(rival))} is under replay 1 \(redeliver 0:\[1, 3\)\) of anna, "
            "which is open.*frameferry replay press-a --partition 0 --from 1 --to 3 --mode redel",
        ):
            _replay(shipped, "reinfer", rival)
    with pytest.raises(ConfigError, match="overlap"):
        _replay(shipped, "reinfer", OffsetRange(0, 3, 4), OffsetRange(0, 3, 4))
    _replay(shipped, "reinfer", OffsetRange(0, 0, 1), OffsetRange(0, 3, 4))
    _finish(shipped, first)
    _replay(shipped, "redeliver", OffsetRange(0, 1, 3))


def test_of_two_replays_planned_at_once_one_is_refused(ledger_url: str, shipped: Ledger) -> None:
    barrier = Barrier(2)

    def replay(_: int) -> bool:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            try:
                _replay(ledger, "redeliver")
            except ConfigError:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(replay, range(2))) == [False, True]


def test_redeliver_keeps_what_was_said(shipped: Ledger) -> None:
    before = _standing(shipped)
    batch = _replay(shipped, "redeliver")
    assert (batch.kind, batch.inferred_at is None) == ("replay", False)
    assert shipped.recorded_offsets(batch.token) == {0: [0, 1, 2, 3]}
    due = shipped.consignments(batch.token)
    assert [(item.offset, item.remote_path) for item in due] == [
        (at, row(0, at).remote_path) for at in range(3)
    ]
    assert _standing(shipped) == before
    _finish(shipped, batch)
    assert {offset: label for offset, (_, label) in _standing(shipped).items()} == {
        0: "good",
        1: "good",
        2: "good",
        3: None,
    }
    assert {line.model_digest for line in shipped.records(PIPELINE, offset=0)} == {"j" * 64}
    assert shipped.count_standing(PIPELINE, [WANTED]) == (3, 1)
    assert shipped.committed_offsets(PIPELINE) == {0: 4, 1: 0}


def test_the_standing_row_and_its_name_move_with_each_receipt(shipped: Ledger) -> None:
    batch = _replay(shipped, "redeliver")
    due = shipped.consignments(batch.token)
    intend(shipped, batch, due)
    receive(shipped, batch, due[:1])
    assert {offset: at for offset, (at, _) in _standing(shipped).items()} == {
        0: batch.id,
        1: 1,
        2: 1,
        3: 1,
    }
    receive(shipped, batch, due)
    with shipped._transactions.read() as connection:
        columns = tables.record.c
        query = select(columns.batch_id, func.count()).where(
            columns.name_key.is_not(None), columns.offset < 4
        )
        held = connection.execute(query.group_by(columns.batch_id)).all()
    assert [tuple(line) for line in held] == [(batch.id, 3)]


def test_reinfer_says_anew_and_replaces_what_stood(shipped: Ledger) -> None:
    batch = _replay(shipped, "reinfer")
    assert batch.inferred_at is None
    record(shipped, batch.token, [row(0, at, label="scratch") for at in range(4)])
    assert {label for _, label in _standing(shipped).values()} == {"good", None}
    assert len(shipped.quarantined(PIPELINE)) == 1
    _finish(shipped, batch)
    assert set(_standing(shipped).values()) == {(batch.id, "scratch")}
    assert shipped.quarantined(PIPELINE) == []
    assert shipped.counts(PIPELINE).labels == {"scratch": 4}
    assert shipped.count_standing(PIPELINE, [WANTED]) == (4, 0)
    with shipped._transactions.read() as connection:
        resolved = connection.execute(select(tables.quarantine)).one()
    assert (resolved.resolved_how, resolved.resolved_by) == ("replayed", f"batch {batch.id}")


def test_a_replay_that_quarantines_leaves_the_delivered_row_standing(shipped: Ledger) -> None:
    batch = _replay(shipped, "reinfer")
    said = [row(0, at, quarantine=("too dark", "")) for at in range(4)]
    record(shipped, batch.token, said)
    _finish(shipped, batch)
    standing = _standing(shipped)
    assert [at for at, _ in standing.values()] == [1, 1, 1, batch.id]
    assert [line.reason for line in shipped.quarantined(PIPELINE)] == ["too dark"]


def test_a_replay_can_be_replayed(shipped: Ledger) -> None:
    for label in ("scratch", "hole"):
        batch = _replay(shipped, "reinfer")
        record(shipped, batch.token, [row(0, at, label=label) for at in range(4)])
        _finish(shipped, batch)
    last = _replay(shipped, "redeliver")
    _finish(shipped, last)
    assert set(_standing(shipped).values()) == {(last.id, "hole")}


def test_a_replay_under_another_name_keeps_the_old_name_taken(shipped: Ledger) -> None:
    """The old file still lies there: nobody else may write over it."""
    batch = _replay(shipped, "reinfer", OffsetRange(0, 0, 1))
    record(shipped, batch.token, [row(0, 0, path="/press-a/moved.jpg")])
    _finish(shipped, batch)
    other = judged(shipped, OffsetRange(1, 0, 1), said=[row(1, 0, path=row(0, 0).remote_path)])
    assert shipped.consignments(other.token) == []
    assert [line.reason for line in shipped.quarantined(PIPELINE)] == ["truncated", "name taken"]


def test_a_replay_waits_for_its_receipts_like_any_batch(shipped: Ledger) -> None:
    batch = _replay(shipped, "redeliver")
    with pytest.raises(BatchUnfinished):
        shipped.record_census(batch.token, count(shipped, batch), seconds=1)
    with pytest.raises(BatchUnfinished):
        shipped.commit(batch.id)
    state = shipped.pipeline_state(PIPELINE)
    assert state is not None
    assert [(leaf.kind, leaf.finished, leaf.held_by_gap) for leaf in state.open_batches] == [
        ("live", False, False),
        ("replay", False, False),
    ]
    deliver(shipped, batch)
    state = shipped.pipeline_state(PIPELINE)
    assert state is not None
    assert [leaf.held_by_gap for leaf in state.open_batches] == [False, False]
    shipped.commit(batch.id)
    stamped = shipped.batch(batch.id).committed_at
    shipped.commit(batch.id)
    assert shipped.batch(batch.id).committed_at == stamped


def test_a_withdrawn_replay_leaves_what_stood(shipped: Ledger) -> None:
    before = _standing(shipped)
    batch = _replay(shipped, "redeliver")
    shipped.withdraw_predictions(batch.token, partition=0, offset=0, error="wrong", is_proof=False)
    assert _standing(shipped) == before
    said: list[NamedPrediction] = [row(0, at) for at in range(4)]
    record(shipped, batch.token, said)
    _finish(shipped, batch)
    assert {at for at, _ in _standing(shipped).values()} == {batch.id}


def test_a_duplicate_is_copied_as_one(press: Ledger) -> None:
    said = [row(0, 0, value=b"x", path="/p/a"), row(0, 1, value=b"x", path="/p/a")]
    batch = judged(press, WANTED, said=said)
    _finish(press, batch)
    again = _replay(press, "redeliver")
    assert [item.offset for item in put(press, again)] == [0]
    press.record_census(again.token, count(press, again), seconds=1)
    assert press.counts(PIPELINE).duplicates == 1


def test_who_asked_for_a_replay_is_recorded(shipped: Ledger) -> None:
    _replay(shipped, "redeliver")
    with shipped._transactions.read() as connection:
        line = connection.execute(select(tables.action)).one()
    assert (line.who, line.what, line.detail) == (
        "anna",
        "replay",
        "replay 1, redeliver 0:[0, 4)",
    )


def test_carrying_on_is_not_held_by_a_replay(shipped: Ledger) -> None:
    _replay(shipped, "redeliver")
    batch = carried(shipped, OffsetRange(1, 0, 3))
    assert shipped.commit(batch.id) == {0: 4, 1: 3}
