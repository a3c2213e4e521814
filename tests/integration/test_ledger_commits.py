"""Commits: the committed offset is the end of the chain of finished ranges."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from fixtures.ledgers import PIPELINE, carried, claim, deliver, judged, plan, register, row
from sqlalchemy import select

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import BatchUnfinished
from frameferry.ledger.database import tables
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger


def _leaves(ledger: Ledger) -> dict[int, tuple[bool, bool]]:
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    return {leaf.id: (leaf.finished, leaf.held_by_gap) for leaf in state.open_batches}


def test_only_a_finished_batch_is_committed(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 3))
    with pytest.raises(BatchUnfinished, match=f"pipeline press-a, batch {batch.id}: .*no census"):
        press.commit(batch.id)
    assert press.committed_offsets(PIPELINE) == {0: 0, 1: 0}


def test_batches_in_order_move_the_chain_one_by_one(press: Ledger) -> None:
    for start in (0, 3, 6):
        batch = carried(press, OffsetRange(0, start, start + 3))
        assert _leaves(press) == {batch.id: (True, False)}
        assert press.commit(batch.id) == {0: start + 3, 1: 0}
        assert _leaves(press) == {}


def test_a_batch_ahead_of_the_chain_is_a_success_and_waits(press: Ledger) -> None:
    first = judged(press, OffsetRange(0, 0, 3))
    second = carried(press, OffsetRange(0, 3, 5), OffsetRange(1, 0, 2))
    assert press.commit(second.id) == {0: 0, 1: 2}
    assert press.batch(second.id).committed_at is None
    assert _leaves(press) == {first.id: (False, False), second.id: (True, True)}

    deliver(press, first)
    assert _leaves(press) == {first.id: (True, False), second.id: (True, False)}
    assert press.commit(first.id) == {0: 5, 1: 2}
    assert press.batch(first.id).committed_at is not None
    assert press.batch(second.id).committed_at is not None


def test_committing_again_changes_nothing(press: Ledger) -> None:
    batch = carried(press, OffsetRange(0, 0, 3))
    press.commit(batch.id)
    stamped = press.batch(batch.id).committed_at
    assert press.commit(batch.id) == {0: 3, 1: 0}
    assert press.batch(batch.id).committed_at == stamped


def test_a_hole_in_the_chain_stops_it(press: Ledger) -> None:
    batches = [plan(press, OffsetRange(0, start, start + 2)) for start in (0, 2, 4)]
    for batch_id in (batches[0], batches[2]):
        batch = claim(press, batch_id)
        start = batch.ranges[0].start
        press.record_predictions(
            batch.token,
            [row(0, start)],
            destination="ftp://h",
            judge_digest=None,
            seconds=1,
        )
        deliver(press, batch)
    assert press.commit(batches[2]) == {0: 2, 1: 0}
    assert press.commit(batches[0]) == {0: 2, 1: 0}
    assert press.batch(batches[0]).committed_at is not None
    assert press.batch(batches[2]).committed_at is None


def test_the_last_committed_record_is_remembered(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 9), said=[row(0, 2), row(0, 5)])
    deliver(press, batch)
    press.commit(batch.id)
    markers = judged(press, OffsetRange(0, 9, 12), said=[])
    deliver(press, markers)
    press.commit(markers.id)
    columns = tables.progress.c
    query = select(columns.committed_offset, columns.last_offset, columns.last_sha256)
    with press._transactions.read() as connection:
        found = connection.execute(query.where(columns.partition == 0)).one()
    assert tuple(found) == (12, 5, row(0, 5).prediction.sha256)


def test_pipelines_do_not_move_each_other(press: Ledger) -> None:
    register(press, "press-b")
    batch = carried(press, OffsetRange(0, 0, 3))
    press.commit(batch.id)
    assert press.committed_offsets("press-b") == {0: 0, 1: 0}


def test_commits_at_once_leave_no_finished_batch_behind(ledger_url: str, press: Ledger) -> None:
    """Each batch spans two partitions: who commits last must see what the others moved."""
    batches = [
        carried(press, OffsetRange(0, at, at + 1), OffsetRange(1, at, at + 1)) for at in range(6)
    ]

    def commit(batch_id: int) -> None:
        with closing(open_ledger(ledger_url)) as ledger:
            ledger.commit(batch_id)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(commit, [batch.id for batch in reversed(batches)]))
    assert press.committed_offsets(PIPELINE) == {0: 6, 1: 6}
    assert _leaves(press) == {}


def test_what_is_unfinished_is_told_by_the_census(press: Ledger) -> None:
    done = carried(press, OffsetRange(0, 0, 3))
    open_one = judged(press, OffsetRange(0, 3, 6))
    asked = [open_one.id, done.id, 4711]
    assert press.unfinished(PIPELINE, asked) == [open_one.id, 4711]
    assert press.unfinished("press-x", [done.id]) == [done.id]
    assert press.unfinished(PIPELINE, []) == []
