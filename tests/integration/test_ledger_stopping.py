"""Replays that a person stops: nothing further of them is claimed until they are resumed."""

from __future__ import annotations

import pytest
from fixtures.ledgers import (
    PIPELINE,
    add_replay,
    carried,
    claim,
    count,
    deliver,
    judged,
    put,
    record,
    row,
)
from sqlalchemy import text

from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.selection import Ranges
from frameferry.errors import ConfigError, ReplayStopped
from frameferry.ledger.store import Ledger
from frameferry.planning.readiness import leaves_to_take, readiness

ALL = OffsetRange(0, 0, 4)


@pytest.fixture
def shipped(press: Ledger) -> Ledger:
    press.commit(carried(press, ALL).id)
    return press


def test_no_batch_of_a_stopped_replay_is_claimed_until_it_is_resumed(shipped: Ledger) -> None:
    batch_id = add_replay(shipped, "redeliver", ALL)
    stopped = shipped.stop_replay(PIPELINE, 1, who="anna")
    assert ("stopped", "anna", (batch_id,)) == (
        stopped.state,
        stopped.stopped_by,
        stopped.open_batches,
    )
    with pytest.raises(ReplayStopped, match=r"anna stopped replay 1.*replays resume press-a 1"):
        claim(shipped, batch_id)
    assert "open" == shipped.resume_replay(PIPELINE, 1, who="bert").state
    deliver(shipped, claim(shipped, batch_id))
    shipped.commit(batch_id)
    assert "done" == shipped.find_replay(PIPELINE, 1).state
    with shipped._transactions.read() as connection:
        query = text("SELECT who, what FROM action WHERE what <> 'replay' ORDER BY id")
        known = connection.execute(query).all()
    assert [("anna", "stop replay"), ("bert", "resume replay")] == known


def test_a_step_that_holds_its_batch_ends_it(shipped: Ledger) -> None:
    batch = claim(shipped, add_replay(shipped, "redeliver", ALL))
    shipped.stop_replay(PIPELINE, 1, who="anna")
    put(shipped, batch)
    shipped.record_census(batch.token, count(shipped, batch), seconds=1.0)
    shipped.commit(batch.id)
    assert "done" == shipped.find_replay(PIPELINE, 1).state


def test_pieces_of_a_stopped_replay_are_no_work_for_a_live_run(shipped: Ledger) -> None:
    batch = claim(shipped, add_replay(shipped, "reinfer", ALL))
    halves = [[OffsetRange(0, 0, 2)], [OffsetRange(0, 2, 4)]]
    shipped.split_batch(batch.token, pieces=halves, why="it failed", is_charged=True)
    marks = {at: Watermarks(low=0, end=4, high=4) for at in (0,)}

    def work() -> tuple[int, bool]:
        state = shipped.pipeline_state(PIPELINE)
        assert state is not None
        return len(leaves_to_take(state)), readiness(state, marks, max_open=2).now

    assert (2, True) == work()
    shipped.stop_replay(PIPELINE, 1, who="anna")
    assert (0, False) == work()
    shipped.resume_replay(PIPELINE, 1, who="anna")
    assert (2, True) == work()


def test_a_stopped_replay_keeps_its_offsets(shipped: Ledger) -> None:
    add_replay(shipped, "redeliver", ALL)
    shipped.stop_replay(PIPELINE, 1, who="anna")
    with pytest.raises(ConfigError, match="is under replay 1"):
        add_replay(shipped, "reinfer", OffsetRange(0, 1, 2))
    found = shipped.open_replay(PIPELINE, Ranges((ALL,)), "redeliver")
    assert found is not None
    assert "stopped" == found.state


def test_what_cannot_be_stopped_or_resumed_says_why(shipped: Ledger) -> None:
    with pytest.raises(ConfigError, match="has no replay 7"):
        shipped.stop_replay(PIPELINE, 7, who="anna")
    batch_id = add_replay(shipped, "redeliver", ALL)
    with pytest.raises(ConfigError, match="is open, and was not stopped"):
        shipped.resume_replay(PIPELINE, 1, who="anna")
    shipped.stop_replay(PIPELINE, 1, who="anna")
    with pytest.raises(ConfigError, match="is stopped already, by anna"):
        shipped.stop_replay(PIPELINE, 1, who="bert")
    shipped.resume_replay(PIPELINE, 1, who="anna")
    deliver(shipped, claim(shipped, batch_id))
    shipped.commit(batch_id)
    with pytest.raises(ConfigError, match=r"is done\. There is nothing to stop"):
        shipped.stop_replay(PIPELINE, 1, who="anna")


def test_what_a_replay_changed_is_told_by_what_stood_just_before(press: Ledger) -> None:
    torn = ("truncated", "")
    first = [row(0, 0, label="bad"), row(0, 1), row(0, 2, quarantine=torn), row(0, 3)]
    live = judged(press, ALL, said=first)
    deliver(press, live)
    press.commit(live.id)
    for labels in (["stain", "good"], ["good", "bad"]):
        batch = claim(press, add_replay(press, "reinfer", OffsetRange(0, 0, 3)))
        said = [row(0, 0, label=labels[0]), row(0, 1, label="good"), row(0, 2, label=labels[1])]
        record(press, batch.token, said)
        deliver(press, batch)
        press.commit(batch.id)
    told = [
        {(one.before, one.after, one.records) for one in press.replay_changes(PIPELINE, number)}
        for number in (1, 2)
    ]
    assert {
        ("bad", "stain", 1),
        ("good", "good", 1),
        ("quarantined: truncated", "good", 1),
    } == told[0]
    assert {("stain", "good", 1), ("good", "good", 1), ("good", "bad", 1)} == told[1]
    [same] = [one for one in press.replay_changes(PIPELINE, 1) if not one.is_change]
    assert ("j" * 64, "j" * 64) == (same.model_before, same.model_after)
    with pytest.raises(ConfigError, match="has no replay 3"):
        press.replay_changes(PIPELINE, 3)
