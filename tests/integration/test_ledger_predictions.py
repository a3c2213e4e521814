"""Predictions: once per batch, whole, and with a name that nobody else holds."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Barrier

import pytest
from fixtures.ledgers import (
    DESTINATION,
    LATELY,
    PIPELINE,
    carried,
    claim,
    count,
    deliver,
    intend,
    judged,
    plan,
    put,
    receive,
    record,
    register,
    row,
    rows,
)

from frameferry.domain.batch import Batch, Trouble
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction, Refusal
from frameferry.domain.state import QuarantineRow
from frameferry.errors import BatchUnfinished, Fenced, LedgerConflict, PredictionsIncomplete
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

WANTED = OffsetRange(0, 0, 4)


def _last_error(ledger: Ledger) -> str | None:
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    return state.open_batches[0].last_error


def test_a_batch_is_judged_once(press: Ledger) -> None:
    batch = judged(press, WANTED)
    other = [row(0, at, label="scratch") for at in range(4)]
    with pytest.raises(LedgerConflict, match="already judged"):
        record(press, batch.token, other)
    again = claim(press, batch.id)
    with pytest.raises(LedgerConflict, match="already judged"):
        record(press, again.token, other)
    assert press.counts(PIPELINE).labels == {}
    deliver(press, again)
    assert press.counts(PIPELINE).labels == {"good": 4}


def test_the_rows_are_frozen_as_they_were_said(press: Ledger) -> None:
    batch = judged(press, WANTED)
    stored = press.batch(batch.id)
    assert stored.inferred_at is not None
    assert stored.judge_digest == "j" * 64
    (first, *_) = press.records(PIPELINE)
    said = row(0, 0)
    assert (first.name, first.size_bytes, first.sha256, first.label, first.score) == (
        said.prediction.source_name,
        said.prediction.size_bytes,
        said.prediction.sha256,
        "good",
        0.75,
    )
    assert (first.remote_path, first.model_digest, first.delivered_at) == (
        said.remote_path,
        "j" * 64,
        None,
    )
    assert press.recorded_offsets(batch.token) == {0: [0, 1, 2, 3]}


@pytest.mark.parametrize(
    ("stray", "why"),
    [
        (row(0, 4), "outside the batch"),
        (row(1, 0), "outside the batch"),
        (row(0, 3, path="/another"), "two rows for one record"),
    ],
)
def test_rows_that_are_not_of_the_batch_are_refused_whole(
    press: Ledger, stray: NamedPrediction, why: str
) -> None:
    batch = claim(press, plan(press, WANTED))
    with pytest.raises(PredictionsIncomplete, match=why):
        record(press, batch.token, [*rows([WANTED]), stray])
    assert press.batch(batch.id).inferred_at is None
    assert press.counts(PIPELINE).records == 0


def test_a_batch_of_markers_only_has_no_rows(press: Ledger) -> None:
    batch = judged(press, WANTED, said=[])
    deliver(press, batch)
    assert press.commit(batch.id) == {0: 4, 1: 0}


def test_what_cannot_be_judged_is_quarantined_with_its_reason(press: Ledger) -> None:
    said = [row(0, 0), row(0, 2, quarantine=("truncated", "ends after\x00 3 \udc80 bytes"))]
    batch = judged(press, WANTED, said=said)
    (aside,) = press.quarantined(PIPELINE)
    assert aside == QuarantineRow(
        *(0, 2, "infer", "truncated", "ends after\ufffd 3 ? bytes", batch.id),
        found_at=aside.found_at,
        resolved_at=None,
        resolved_by=None,
        resolved_how=None,
    )
    deliver(press, batch)
    counts = press.counts(PIPELINE)
    assert (counts.records, counts.delivered, counts.quarantined) == (2, 1, 1)
    assert counts.reasons == {"truncated": 1}
    assert press.commit(batch.id) == {0: 4, 1: 0}


def test_a_source_name_that_no_database_can_hold_is_mended(press: Ledger) -> None:
    odd = row(0, 0)
    broken = type(odd.prediction)(
        **{
            **{name: getattr(odd.prediction, name) for name in odd.prediction.__slots__},
            "source_name": "a\x00b\udcff.jpg",
        }
    )
    judged(press, WANTED, said=[type(odd)(broken, odd.remote_path)])
    assert [line.name for line in press.records(PIPELINE)] == ["a\ufffdb?.jpg"]


def test_a_name_with_the_same_bytes_is_a_duplicate(press: Ledger) -> None:
    said = [row(0, 0, value=b"x", path="/p/A.jpg"), row(0, 1, value=b"x", path="/p/a.JPG")]
    batch = judged(press, WANTED, said=said)
    assert [item.offset for item in press.consignments(batch.token)] == [0]
    deliver(press, batch)
    counts = press.counts(PIPELINE)
    assert (counts.records, counts.delivered, counts.duplicates) == (2, 1, 1)
    assert press.commit(batch.id) == {0: 4, 1: 0}


def test_a_name_with_other_bytes_is_quarantined_and_its_holder_named(press: Ledger) -> None:
    register(press, "press-b")
    judged(press, WANTED, said=[row(0, 3, path="/p/a.jpg")])
    other = claim(press, plan(press, WANTED, pipeline="press-b"))
    record(press, other.token, [row(0, 0, path="/P/A.jpg"), row(0, 1, path="/p/b.jpg")])
    (refused,) = press.quarantined("press-b")
    assert (refused.stage, refused.reason) == ("infer", "name taken")
    assert refused.detail == "/P/A.jpg is held by record 0:3 of press-a"
    deliver(press, other)
    assert press.counts("press-b").delivered == 1


def test_the_same_name_on_another_server_is_another_name(press: Ledger) -> None:
    judged(press, WANTED, said=[row(0, 0, path="/p/a.jpg")])
    other = claim(press, plan(press, OffsetRange(1, 0, 4)))
    press.record_predictions(
        other.token,
        [row(1, 0, path="/p/a.jpg")],
        destination="ftp://ferry@elsewhere:21",
        judge_digest=None,
        seconds=1,
    )
    assert press.quarantined(PIPELINE) == []
    assert DESTINATION != "ftp://ferry@elsewhere:21"


def test_a_duplicate_waits_for_its_record(press: Ledger) -> None:
    first = judged(press, WANTED, said=[row(0, 0, value=b"x", path="/p/a.jpg")])
    second = judged(
        press, OffsetRange(1, 0, 4), said=[row(1, 0, value=b"x", path="/p/a.jpg"), row(1, 1)]
    )
    put(press, second)
    with pytest.raises(BatchUnfinished, match="1 records have neither"):
        press.record_census(second.token, count(press, second), seconds=1)
    put(press, first)
    press.record_census(second.token, count(press, second), seconds=1)


def test_a_duplicate_of_a_record_that_is_refused_is_delivered_itself(press: Ledger) -> None:
    first = judged(press, WANTED, said=[row(0, 0, value=b"x", path="/p/a.jpg")])
    same = [row(1, at, value=b"x", path="/p/a.jpg") for at in (0, 1)]
    second = judged(press, OffsetRange(1, 0, 4), said=same)
    (due,) = press.consignments(first.token)
    press.record_refusals(first.token, [Refusal(due.record_id, "550", "no such folder")])
    assert [item.offset for item in press.consignments(second.token)] == [0]
    deliver(press, second)
    counts = press.counts(PIPELINE)
    assert (counts.delivered, counts.duplicates, counts.quarantined) == (1, 1, 1)


def test_a_duplicate_of_a_withdrawn_record_is_delivered_itself(press: Ledger) -> None:
    first = judged(press, WANTED, said=[row(0, 3, value=b"x", path="/p/a.jpg")])
    second = judged(press, OffsetRange(1, 0, 4), said=[row(1, 0, value=b"x", path="/p/a.jpg")])
    press.withdraw_predictions(
        first.token, partition=0, offset=0, error="no such record", is_proof=False
    )
    deliver(press, second)
    record(press, first.token, [row(0, 2, value=b"y", path="/p/a.jpg")])
    assert [line.reason for line in press.quarantined(PIPELINE)] == ["name taken"]


def test_withdrawn_rows_are_judged_again(press: Ledger) -> None:
    wrong = [row(0, 0), row(0, 1), row(0, 3, quarantine=("truncated", ""))]
    batch = judged(press, WANTED, said=wrong)
    press.withdraw_predictions(
        batch.token, partition=0, offset=0, error="no row for 0:2", is_proof=False
    )
    assert press.batch(batch.id).inferred_at is None
    assert press.counts(PIPELINE).records == 0
    assert _last_error(press) == "no row for 0:2"
    assert press.quarantined(PIPELINE) == []
    record(press, batch.token, rows([WANTED]))
    assert _last_error(press) is None
    deliver(press, batch)
    assert press.counts(PIPELINE).delivered == 4


def pieces(ledger: Ledger, batch: Batch) -> dict[OffsetRange, Batch]:
    """The pieces of a batch that was split, by their range."""
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    found = [ledger.batch(leaf.id) for leaf in state.open_batches if leaf.root_id == batch.id]
    assert all(piece.parent_id == batch.id for piece in found)
    return {part: piece for piece in found for part in piece.ranges}


def test_what_was_delivered_or_may_be_outlives_a_withdrawal_in_a_judged_piece(
    press: Ledger,
) -> None:
    batch = judged(press, WANTED)
    due = press.consignments(batch.token)
    intend(press, batch, due[:2])
    receive(press, batch, due[:1])
    press.withdraw_predictions(
        batch.token, partition=0, offset=3, error="no row for 0:3", is_proof=False
    )
    assert press.batch(batch.id).split_at is not None
    found = pieces(press, batch)
    stands, again = (claim(press, found[OffsetRange(0, *part)].id) for part in ((0, 3), (3, 4)))
    # The third row was compared with its record already.
    assert press.recorded_offsets(stands.token) == {0: [0, 1, 2]}
    assert [intent.record_id for intent in press.open_intents(stands.token)] == [due[1].record_id]
    assert stands.inferred_at is not None
    assert (again.inferred_at, again.trouble.failures) == (None, 1)
    assert press.recorded_offsets(again.token) == {}
    record(press, again.token, [row(0, 3, label="scratch")])
    labels = {line.offset: line.label for line in press.records(PIPELINE)}
    assert labels == {0: "good", 1: "good", 2: "good", 3: "scratch"}
    receive(press, stands, due[1:2])
    for piece in (stands, again):
        put(press, piece)
        press.record_census(piece.token, count(press, piece), seconds=1)
        press.commit(piece.id)
    assert press.committed_offsets(PIPELINE)[0] == 4
    assert press.counts(PIPELINE).delivered == 4


def ask_again(ledger: Ledger, batch: Batch, *, why: str) -> None:
    ledger.judge_again(batch.token, destination=DESTINATION, base="/", why=why)


def test_an_attempt_that_sleeps_through_a_withdrawal_gives_no_receipt(press: Ledger) -> None:
    zombie = judged(press, WANTED)
    due = press.consignments(zombie.token)
    intend(press, zombie, due[:1])
    batch = claim(press, zombie.id)
    ask_again(press, batch, why="the wrong model")
    with pytest.raises(Fenced):
        receive(press, zombie, due[:1])
    (piece,) = (one for one in pieces(press, batch).values() if one.inferred_at)
    held = claim(press, piece.id)
    assert [intent.record_id for intent in press.open_intents(held.token)] == [due[0].record_id]


def test_a_person_takes_back_all_that_nothing_hangs_on_and_it_counts_as_no_failure(
    press: Ledger,
) -> None:
    said = [row(0, 0, quarantine=("dark", "")), *rows([OffsetRange(0, 1, 4)])]
    batch = judged(press, WANTED, said=said)
    due = press.consignments(batch.token)
    intend(press, batch, due[1:2])
    receive(press, batch, due[1:2])
    ask_again(press, batch, why="anna had it judged again")
    found = dict(sorted(pieces(press, batch).items()))
    assert list(found) == [OffsetRange(0, 0, 2), OffsetRange(0, 2, 3), OffsetRange(0, 3, 4)]
    assert [piece.inferred_at is None for piece in found.values()] == [True, False, True]
    assert {piece.trouble.failures for piece in found.values()} == {0}
    assert press.quarantined(PIPELINE) == []


def test_judging_again_leaves_a_batch_alone_of_which_all_was_delivered(press: Ledger) -> None:
    batch = judged(press, WANTED)
    put(press, batch)
    ask_again(press, batch, why="anna had it judged again")
    assert press.recorded_offsets(batch.token) == {0: [0, 1, 2, 3]}
    press.record_census(batch.token, count(press, batch), seconds=1)


def test_judging_again_twice_convicts_nobody(press: Ledger) -> None:
    batch = claim(press, plan(press, OffsetRange(0, 0, 1)))
    for _ in range(2):
        record(press, batch.token, [row(0, 0)])
        ask_again(press, batch, why="anna had it judged again")
    assert press.batch(batch.id).trouble == Trouble()


@pytest.mark.parametrize("is_proof", [True, False])
def test_a_wrong_row_is_a_failure_and_a_proof_where_it_was_judged_alone(
    press: Ledger, is_proof: bool
) -> None:
    batch = judged(press, OffsetRange(0, 0, 1))
    press.withdraw_predictions(batch.token, partition=0, offset=0, error="wrong", is_proof=is_proof)
    trouble = press.batch(batch.id).trouble
    assert (trouble.failures, trouble.proofs) == (1, int(is_proof))


def test_only_a_judged_batch_that_is_not_delivered_can_be_withdrawn(press: Ledger) -> None:
    planned = claim(press, plan(press, WANTED))
    done = carried(press, OffsetRange(1, 0, 4))
    for batch in (planned, done):
        with pytest.raises(LedgerConflict, match="judged and not delivered"):
            press.withdraw_predictions(
                batch.token, partition=0, offset=0, error="wrong", is_proof=False
            )


def test_two_batches_that_want_one_name_at_once_do_not_both_get_it(
    ledger_url: str, press: Ledger
) -> None:
    """Neither sees the other's row before it inserts its own: the unique index decides."""
    batches = [claim(press, plan(press, OffsetRange(part, 0, 50))) for part in (0, 1)]
    barrier = Barrier(2)

    def judge(number: int) -> None:
        batch = batches[number]
        same = [row(number, at, path=f"/p/{at}.jpg") for at in range(50)]
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            record(ledger, batch.token, same)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(judge, [0, 1]))
    counts = press.counts(PIPELINE)
    assert (counts.records, counts.reasons) == (100, {"name taken": 50})


def remarked(ledger: Ledger, start: int, details: list[str | None]) -> int:
    """Judge a batch with these remarks; return its id."""
    wanted = OffsetRange(0, start, start + len(details))
    said = [
        replace(one, prediction=replace(one.prediction, detail=detail))
        for one, detail in zip(rows([wanted]), details, strict=True)
    ]
    return judged(ledger, wanted, said=said).id


def test_a_remark_on_most_pictures_is_kept_with_the_batch(press: Ledger) -> None:
    assert (
        press.overview(PIPELINE, **LATELY).remark
        is press.overview("nobody", **LATELY).remark
        is None
    )
    first = remarked(press, 0, ["dark", "dark", "dark", None])
    assert (first, "3 of 4 pictures: dark") == press.overview(PIPELINE, **LATELY).remark
    remarked(press, 4, ["dark", "dark", None, None])
    assert press.overview(PIPELINE, **LATELY).remark is None, (
        "half is not most, and the last batch tells"
    )


def test_why_pictures_cannot_be_judged_is_no_remark(press: Ledger) -> None:
    said = [
        replace(one, prediction=replace(one.prediction, label=None, reason="damaged", detail="x"))
        for one in rows([WANTED])
    ]
    judged(press, WANTED, said=said)
    assert press.overview(PIPELINE, **LATELY).remark is None
