"""Delivery: intents before renames, receipts as facts, refusals, the census."""

from __future__ import annotations

from dataclasses import replace

import pytest
from fixtures.ledgers import (
    LEASE,
    PIPELINE,
    carried,
    census_of,
    claim,
    count,
    deliver,
    intend,
    judged,
    plan,
    put,
    receive,
    record,
    row,
    rows,
)
from sqlalchemy import update

from frameferry.domain.batch import BatchCost
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Census, Intent, Receipt, Refusal
from frameferry.errors import BatchUnfinished, Fenced, LedgerConflict, PredictionsIncomplete
from frameferry.ledger.database.tables import batch as batch_table
from frameferry.ledger.store import Ledger

WANTED = OffsetRange(0, 0, 4)


def test_what_is_due_is_listed_by_position(press: Ledger) -> None:
    wide = OffsetRange(1, 0, 2)
    batch = judged(press, wide, WANTED, said=list(reversed(rows([WANTED, wide]))))
    due = press.consignments(batch.token)
    assert [(item.partition, item.offset) for item in due] == [
        (0, 0),
        (0, 1),
        (0, 2),
        (0, 3),
        (1, 0),
        (1, 1),
    ]
    said = row(1, 1)
    assert (due[-1].remote_path, due[-1].size_bytes, due[-1].sha256) == (
        said.remote_path,
        said.prediction.size_bytes,
        said.prediction.sha256,
    )


def test_an_intent_is_open_until_its_receipt(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due[:2])
    first = due[0]
    assert press.open_intents(batch.token)[0] == Intent(
        first.record_id,
        first.remote_path,
        f"{first.remote_path}.{batch.part_tag}.part",
        first.size_bytes,
        first.sha256,
    )
    receive(press, batch, due[:1])
    assert [intent.record_id for intent in press.open_intents(batch.token)] == [due[1].record_id]
    assert [item.offset for item in press.consignments(batch.token)] == [1, 2, 3]


def test_an_open_intent_is_settled_before_another_is_made(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due[:1])
    with pytest.raises(LedgerConflict, match="does not await one: 1 of 4"):
        intend(press, batch, due)
    assert len(press.open_intents(batch.token)) == 1
    press.withdraw_intents(batch.token, [due[0].record_id])
    intend(press, batch, due)
    assert len(press.open_intents(batch.token)) == 4


def test_an_intent_needs_a_part_that_is_not_the_final_name(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    for part in ("", due[0].remote_path):
        with pytest.raises(LedgerConflict, match="breaks one of its rules"):
            press.record_intents(batch.token, [(due[0].record_id, part)])


def test_nothing_is_received_without_an_open_intent(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due[:1])
    with pytest.raises(LedgerConflict, match="1 receipts for records without an open intent"):
        receive(press, batch, due[:2])
    assert press.counts(PIPELINE).delivered == 0


def test_records_of_another_batch_are_out_of_reach(press: Ledger) -> None:
    mine, other = judged(press, WANTED), judged(press, OffsetRange(1, 0, 4))
    due = press.consignments(other.token)
    with pytest.raises(LedgerConflict):
        intend(press, mine, due)
    intend(press, other, due)
    with pytest.raises(LedgerConflict):
        receive(press, mine, due)
    with pytest.raises(LedgerConflict):
        press.record_refusals(mine.token, [Refusal(due[0].record_id, "550", "no")])
    press.withdraw_intents(mine.token, [item.record_id for item in due])
    assert len(press.open_intents(other.token)) == 4


def test_a_receipt_says_how_and_may_be_repeated(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due)
    told = [Receipt(item.record_id, "size" if item.offset else "hash:md5") for item in due]
    press.record_receipts(batch.token, told)
    before = press.records(PIPELINE)
    press.record_receipts(batch.token, told)
    press.record_receipts(batch.token, [])
    assert press.records(PIPELINE) == before
    assert all(line.delivered_at is not None for line in before)


def test_the_fenced_holder_of_an_intent_still_reports_its_receipt(press: Ledger) -> None:
    old = judged(press, WANTED)
    due = press.consignments(old.token)
    intend(press, old, due[:2])
    new = claim(press, old.id)
    receive(press, old, due[:2])
    assert [item.offset for item in press.consignments(new.token)] == [2, 3]
    with pytest.raises(Fenced):
        intend(press, old, due[2:])


def test_an_attempt_settles_the_intents_of_an_older_one(press: Ledger) -> None:
    old = judged(press, WANTED)
    due = press.consignments(old.token)
    intend(press, old, due)
    new = claim(press, old.id)
    assert len(press.open_intents(new.token)) == 4
    receive(press, new, due[:3])
    press.withdraw_intents(new.token, [due[3].record_id])
    receive(press, old, due[:3])
    with pytest.raises(Fenced, match="took its intents over"):
        receive(press, old, due)
    intend(press, new, due[3:])
    with pytest.raises(Fenced):
        receive(press, old, due[3:])
    receive(press, new, due[3:])
    assert press.counts(PIPELINE).delivered == 4


def test_a_refused_record_is_quarantined_and_holds_no_name(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    press.record_refusals(batch.token, [Refusal(due[0].record_id, "553", "bad\x00name")])
    assert [(line.stage, line.reason, line.detail) for line in press.quarantined(PIPELINE)] == [
        ("deliver", "553", "bad\ufffdname")
    ]
    other = claim(press, plan(press, OffsetRange(1, 0, 1)))
    record(press, other.token, [row(1, 0, path=due[0].remote_path)])
    assert len(press.consignments(other.token)) == 1
    deliver(press, batch)
    assert press.counts(PIPELINE).quarantined == 1


def test_a_record_with_an_open_intent_is_not_refused(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due[:1])
    refusal = Refusal(due[0].record_id, "553", "bad name")
    with pytest.raises(LedgerConflict, match="a refusal of a record that is not due"):
        press.record_refusals(batch.token, [refusal])
    press.withdraw_intents(batch.token, [due[0].record_id])
    press.record_refusals(batch.token, [refusal])
    with pytest.raises(LedgerConflict):
        press.record_refusals(batch.token, [refusal])


def test_the_census_finishes_a_batch_once(press: Ledger) -> None:
    batch = judged(press, WANTED)
    put(press, batch)
    press.record_census(batch.token, count(press, batch), seconds=3.0)
    assert press.batch(batch.id).delivered_at is not None
    with pytest.raises(LedgerConflict, match="delivered already"):
        press.record_census(batch.token, count(press, batch), seconds=3.0)


def test_no_census_stands_before_the_batch_is_judged(press: Ledger) -> None:
    batch = claim(press, plan(press, WANTED))
    with pytest.raises(LedgerConflict, match="not judged yet"):
        press.record_census(batch.token, [census_of(WANTED, [])], seconds=1)


@pytest.mark.parametrize("met", [[], [0, 1, 2], [0, 1, 2, 3, 3], [0, 1, 2, 4]])
def test_a_census_of_other_records_than_were_judged_is_refused(
    press: Ledger, met: list[int]
) -> None:
    batch = judged(press, WANTED)
    put(press, batch)
    with pytest.raises(PredictionsIncomplete, match="the judge's 4 rows are not the"):
        press.record_census(batch.token, [census_of(WANTED, met)], seconds=1)
    assert press.batch(batch.id).delivered_at is None


def test_a_census_of_too_many_records_is_refused(press: Ledger) -> None:
    batch = judged(press, WANTED, said=rows([WANTED])[:2])
    put(press, batch)
    with pytest.raises(PredictionsIncomplete, match="the judge's 2 rows are not the 4 records"):
        press.record_census(batch.token, [census_of(WANTED, [0, 1, 2, 3])], seconds=1)


def test_a_census_covers_every_range_to_its_end(press: Ledger) -> None:
    other = OffsetRange(1, 0, 4)
    batch = judged(press, WANTED, other)
    put(press, batch)
    whole = count(press, batch)
    short = replace(whole[1], seen_to=3)
    elsewhere = Census(1, 0, 3, 3, whole[1].count, whole[1].digest)
    for partial in ([], whole[:1], [*whole, whole[0]], [whole[0], elsewhere], [whole[0], short]):
        with pytest.raises(BatchUnfinished, match=r"census is not|stopped at 3"):
            press.record_census(batch.token, partial, seconds=1)
    press.record_census(batch.token, whole, seconds=1)


def test_a_batch_is_not_finished_while_a_record_has_no_outcome(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due)
    receive(press, batch, due[1:])
    with pytest.raises(BatchUnfinished, match=r"1 records have neither .* from offset 0 on"):
        press.record_census(batch.token, count(press, batch), seconds=1)
    receive(press, batch, due[:1])
    press.record_census(batch.token, count(press, batch), seconds=1)


def test_a_census_clears_what_the_last_attempt_failed_of(press: Ledger) -> None:
    batch = judged(press, WANTED)
    press.record_failure(batch.token, error="FTP is down", retry_after_seconds=60)
    deliver(press, batch)
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    assert [(leaf.last_error, leaf.retry_at) for leaf in state.open_batches] == [(None, None)]


def test_what_delivered_batches_cost_is_known_newest_first(press: Ledger) -> None:
    for start in range(0, 8, 4):
        carried(press, OffsetRange(0, start, start + 4))
    markers = judged(press, OffsetRange(1, 0, 5), said=[row(1, 0, value=b"12345")])
    deliver(press, markers)
    judged(press, OffsetRange(1, 5, 7))
    newest, *older = costs_of(press)
    assert newest == BatchCost(5, 1, 5, infer_seconds=2.0, deliver_seconds=3.0)
    assert [(cost.offsets, cost.records) for cost in older] == [(4, 4), (4, 4)]


def test_how_long_workers_loaded_is_known(press: Ledger) -> None:
    batch = claim(press, plan(press, WANTED))
    record(press, batch.token, rows([WANTED]), loading_seconds=1.5)
    deliver(press, batch)
    (cost,) = costs_of(press)
    assert (cost.infer_seconds, cost.loading_seconds) == (2.0, 1.5)
    assert (cost.judging_seconds, cost.warm_seconds) == (0.5, 3.5)


def test_loading_is_withdrawn_with_the_rows(press: Ledger) -> None:
    batch = claim(press, plan(press, WANTED))
    record(press, batch.token, rows([WANTED]), loading_seconds=1.5)
    assert press.withdraw_untouched(batch.token)
    record(press, batch.token, rows([WANTED]))
    deliver(press, batch)
    (cost,) = costs_of(press)
    assert cost.loading_seconds == 0


def test_of_batches_judged_before_it_was_asked_no_loading_is_known(press: Ledger) -> None:
    carried(press, WANTED)
    with press._transactions.write() as connection:
        connection.execute(update(batch_table).values(loading_seconds=None))
    (cost,) = costs_of(press)
    assert cost.loading_seconds == 0


def test_batches_without_any_record_still_cost_something(press: Ledger) -> None:
    deliver(press, judged(press, WANTED, said=[]))
    (cost,) = costs_of(press)
    assert (cost.offsets, cost.records, cost.size_bytes, cost.warm_seconds) == (4, 0, 0, 5)


def costs_of(ledger: Ledger) -> tuple[BatchCost, ...]:
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    return state.costs


def test_renewing_does_not_disturb_a_delivery(press: Ledger) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    press.renew(batch.token, LEASE)
    intend(press, batch, due)
    press.renew(batch.token, LEASE)
    receive(press, batch, due)
    press.record_census(batch.token, count(press, batch), seconds=1)
