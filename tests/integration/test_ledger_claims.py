"""Claims: attempts, leases by the database's clock, and the fence."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier, Event

import pytest
from fixtures.ledgers import LEASE, claim, judged, plan, put, record, rows
from sqlalchemy import update

from frameferry.domain.batch import Token
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Receipt, Refusal
from frameferry.errors import BatchOwned, Fenced, FrameferryError
from frameferry.ledger.database import tables
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.guards import fence
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

WANTED = OffsetRange(0, 0, 3)


def test_a_claim_is_a_new_attempt_with_a_token_of_this_epoch(press: Ledger) -> None:
    batch_id = plan(press, WANTED)
    first = claim(press, batch_id)
    second = claim(press, batch_id)
    assert Token(press.epoch(), batch_id, 1) == first.token
    assert Token(press.epoch(), batch_id, 2) == second.token
    assert second == press.batch(batch_id)
    assert f"{press.epoch()[:8]}-{batch_id}-2" == second.part_tag


def test_a_live_lease_says_who_holds_it(press: Ledger) -> None:
    batch_id = plan(press, WANTED)
    claim(press, batch_id, "host:1")
    with pytest.raises(BatchOwned, match=rf"batch {batch_id}: .* owned by host:1 until 20"):
        claim(press, batch_id, "host:2")
    assert press.batch(batch_id).token.attempt == 1


def test_a_lease_that_is_over_or_released_lets_the_next_in(press: Ledger) -> None:
    batch_id = plan(press, WANTED)
    press.claim(batch_id, owner="host:1", lease_seconds=0)
    taken = claim(press, batch_id, "host:2")
    press.release(taken.token)
    assert claim(press, batch_id, "host:3").token.attempt == 3


def test_a_lease_is_renewed_by_its_holder_only(press: Ledger) -> None:
    batch_id = plan(press, WANTED)
    first = press.claim(batch_id, owner="host:1", lease_seconds=0)
    press.renew(first.token, LEASE)
    with pytest.raises(BatchOwned):
        claim(press, batch_id, "host:2")
    press.renew(first.token, 0)
    claim(press, batch_id, "host:2")
    with pytest.raises(Fenced, match="attempt 1 was overtaken: attempt 2 has it, owned by host:2"):
        press.renew(first.token, LEASE)


def test_an_overtaken_attempt_cannot_release_the_newer_lease(press: Ledger) -> None:
    batch_id = plan(press, WANTED)
    old = press.claim(batch_id, owner="host:1", lease_seconds=0)
    claim(press, batch_id, "host:2")
    press.release(old.token)
    with pytest.raises(BatchOwned):
        claim(press, batch_id, "host:3")


def test_of_many_who_claim_at_once_one_gets_the_batch(ledger_url: str, press: Ledger) -> None:
    batch_id = plan(press, WANTED)
    barrier = Barrier(4)

    def try_claim(owner: str) -> bool:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            try:
                claim(ledger, batch_id, owner)
            except BatchOwned:
                return False
            return True

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(try_claim, "abcd")) == 1
    assert press.batch(batch_id).token.attempt == 1


def test_a_failure_is_remembered_with_the_time_of_the_next_try(press: Ledger) -> None:
    batch = claim(press, plan(press, WANTED))
    press.record_failure(batch.token, error="Kafka is down", retry_after_seconds=300)
    state = press.pipeline_state(batch.pipeline)
    assert state is not None
    (leaf,) = state.open_batches
    assert leaf.last_error == "Kafka is down"
    assert leaf.retry_at is not None
    assert leaf.leased_until is not None
    assert 290 < (leaf.retry_at - state.now).total_seconds() <= 300
    assert 50 < (leaf.leased_until - state.now).total_seconds() <= LEASE

    record(press, batch.token, rows([WANTED]))
    state = press.pipeline_state(batch.pipeline)
    assert state is not None
    assert [(leaf.last_error, leaf.retry_at) for leaf in state.open_batches] == [(None, None)]


def test_unblocking_ends_the_back_off_of_what_was_blocked(press: Ledger) -> None:
    batch = claim(press, plan(press, WANTED))
    press.record_failure(batch.token, error="530 no entry", retry_after_seconds=300)
    press.block(batch.pipeline, reason="530 no entry", digest="d1")
    assert press.unblock(batch.pipeline, who="anna")
    state = press.pipeline_state(batch.pipeline)
    assert state is not None
    assert [leaf.retry_at for leaf in state.open_batches] == [None]


def _writes(ledger: Ledger, token: Token, record_id: int) -> dict[str, object]:
    """Every fenced write, ready to be called."""
    return {
        "renew": lambda: ledger.renew(token, LEASE),
        "record_failure": lambda: ledger.record_failure(token, error="e", retry_after_seconds=1),
        "record_predictions": lambda: record(ledger, token, rows([WANTED])),
        "withdraw_predictions": lambda: ledger.withdraw_predictions(
            token, partition=0, offset=0, error="e", is_proof=False
        ),
        "judge_again": lambda: ledger.judge_again(token, destination="d", base="/", why="e"),
        "consignments": lambda: ledger.consignments(token),
        "recorded_offsets": lambda: ledger.recorded_offsets(token),
        "open_intents": lambda: ledger.open_intents(token),
        "record_intents": lambda: ledger.record_intents(token, [(record_id, "/part")]),
        "withdraw_intents": lambda: ledger.withdraw_intents(token, [record_id]),
        "record_receipts": lambda: ledger.record_receipts(token, [Receipt(record_id, "size")]),
        "record_refusals": lambda: ledger.record_refusals(token, [Refusal(record_id, "r", "d")]),
        "record_census": lambda: ledger.record_census(token, [], seconds=1),
    }


NAMES = list(_writes(None, Token("", 0, 0), 0))  # type: ignore[arg-type]


@pytest.mark.parametrize("write", NAMES)
def test_every_write_of_an_overtaken_attempt_is_fenced(press: Ledger, write: str) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    claim(press, batch.id)
    with pytest.raises(Fenced):
        _writes(press, batch.token, due[0].record_id)[write]()  # type: ignore[operator]


@pytest.mark.parametrize("write", NAMES)
def test_every_write_of_another_epoch_is_fenced(press: Ledger, write: str) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    put(press, batch)
    with press._transactions.write() as connection:
        connection.execute(update(tables.ledger).values(epoch="restored"))
    with pytest.raises(Fenced, match="epoch"):
        _writes(press, batch.token, due[0].record_id)[write]()  # type: ignore[operator]


@pytest.mark.parametrize("write", NAMES)
def test_every_write_to_a_split_batch_is_fenced(press: Ledger, write: str) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    with press._transactions.write() as connection:
        connection.execute(update(tables.batch).values(split_at=from_now()))
    with pytest.raises(Fenced):
        _writes(press, batch.token, due[0].record_id)[write]()  # type: ignore[operator]
    with pytest.raises(Fenced, match="split"):
        claim(press, batch.id)


def test_a_new_claim_waits_until_a_fenced_write_has_ended(ledger_url: str, press: Ledger) -> None:
    """
    To select first and write then would let the claim in between.

    The old attempt passes the fence and pauses before it writes; the rival's claim must not
    come through until that transaction has ended.
    """
    batch = claim(press, plan(press, WANTED))
    passed, claimed = Event(), Event()
    came_between: list[bool] = []

    def write_slowly() -> None:
        with press._transactions.write() as connection:
            held = fence.fence(connection, batch.token)
            passed.set()
            came_between.append(claimed.wait(0.5))
            values = {"reason": "written", "retry_at": from_now()}
            connection.execute(
                update(tables.batch)
                .where(tables.batch.c.id == held.id)
                .values(last_error=values["reason"])
            )

    def overtake() -> int:
        with closing(open_ledger(ledger_url)) as rival:
            passed.wait(10)
            attempt = claim(rival, batch.id).token.attempt
            claimed.set()
            return attempt

    with ThreadPoolExecutor(2) as pool:
        slow, fast = pool.submit(write_slowly), pool.submit(overtake)
        slow.result()
        assert fast.result() == 2
    assert came_between == [False]


def test_a_zombie_and_its_successor_never_both_judge(ledger_url: str, press: Ledger) -> None:
    """Two attempts race to record predictions; exactly one set of rows stands, the newest's."""
    batch_id = plan(press, WANTED)
    old = claim(press, batch_id)
    barrier = Barrier(2)

    def as_zombie() -> str:
        barrier.wait()
        return _outcome(lambda: record(press, old.token, rows([WANTED])))

    def as_successor() -> str:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            new = claim(ledger, batch_id)
            if new.inferred_at is not None:
                return "found them judged"
            return _outcome(lambda: record(ledger, new.token, rows([WANTED])))

    with ThreadPoolExecutor(2) as pool:
        zombie, successor = pool.submit(as_zombie), pool.submit(as_successor)
        found = (zombie.result(), successor.result())
    assert found in {("done", "found them judged"), ("Fenced", "done")}
    assert press.counts("press-a").records == 3


def _outcome(call: object) -> str:
    try:
        call()  # type: ignore[operator]
    except FrameferryError as error:
        return type(error).__name__
    return "done"


def test_a_ledger_opened_again_goes_on_with_the_open_batch(ledger_url: str, press: Ledger) -> None:
    batch = judged(press, WANTED)
    press.close()
    with closing(open_ledger(ledger_url)) as again:
        state = again.pipeline_state(batch.pipeline)
        assert state is not None
        assert [(batch.id, True, False)] == [
            (leaf.id, leaf.inferred, leaf.finished) for leaf in state.open_batches
        ]
        assert len(put(again, claim(again, batch.id))) == 3
