"""Pieces of batches, company of judge jobs, lost images and the circuit breaker, in the ledger."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from fixtures.ledgers import (
    DESTINATION,
    PIPELINE,
    carried,
    claim,
    deliver,
    judged,
    plan,
    put,
    register,
    row,
)
from sqlalchemy import func, select, update

from frameferry.domain.batch import Batch, Trouble
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Refusal
from frameferry.errors import BatchOwned, Fenced, LedgerConflict
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.database.tables import judging, quarantine
from frameferry.ledger.store import Ledger
from frameferry.planning.splitting import split

WHOLE = (OffsetRange(0, 0, 8), OffsetRange(1, 4, 9))


@pytest.fixture
def batch(press: Ledger) -> Batch:
    plan(press, OffsetRange(1, 0, 4))
    return claim(press, plan(press, *WHOLE))


def halve(ledger: Ledger, batch: Batch, *, is_charged: bool = True) -> tuple[int, ...]:
    return ledger.split_batch(
        batch.token, pieces=split(batch.ranges), is_charged=is_charged, why="it failed"
    )


def test_pieces_carry_on_for_their_batch(press: Ledger, batch: Batch) -> None:
    first, second = halve(press, batch)
    old = press.batch(batch.id)
    assert old.split_at is not None
    assert (OffsetRange(0, 0, 6),) == press.batch(first).ranges
    assert (OffsetRange(0, 6, 8), OffsetRange(1, 4, 9)) == press.batch(second).ranges
    assert Trouble(charges=1) == press.batch(second).trouble
    state = press.pipeline_state(PIPELINE)
    assert {first, second} <= {leaf.id for leaf in state.open_batches}
    assert {batch.id} == {leaf.root_id for leaf in state.open_batches if leaf.is_piece}
    assert [] == press.unfinished(PIPELINE, [batch.id])
    # Nobody plans these offsets a second time.
    assert 8 == state.progress[0].planned


def test_a_split_batch_is_closed_to_everybody(press: Ledger, batch: Batch) -> None:
    halve(press, batch)
    for write in (
        lambda: press.record_predictions(
            batch.token, [], destination=DESTINATION, judge_digest=None, seconds=1
        ),
        lambda: halve(press, batch),
        lambda: press.count_failure(batch.token, "failure", error="late"),
        lambda: claim(press, batch.id),
    ):
        with pytest.raises(Fenced, match="split"):
            write()


def test_only_the_newest_attempt_splits(press: Ledger, batch: Batch) -> None:
    press.release(batch.token)
    claim(press, batch.id, owner="a newer one")
    with pytest.raises(Fenced, match="overtaken"):
        halve(press, batch)
    assert press.batch(batch.id).split_at is None


def test_a_judged_batch_is_not_split(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 4))
    with pytest.raises(LedgerConflict, match="without predictions"):
        halve(press, batch)


@pytest.mark.parametrize(
    ("pieces", "lost"),
    [
        ([[OffsetRange(0, 0, 8)]], []),
        ([WHOLE, [OffsetRange(0, 0, 1)]], []),
        ([[OffsetRange(0, 0, 8), OffsetRange(1, 4, 10)]], []),
        ([[OffsetRange(0, 1, 8), OffsetRange(1, 4, 9)]], []),
        ([[OffsetRange(0, 2, 8), OffsetRange(1, 4, 9)]], [(OffsetRange(0, 0, 1), "retention")]),
    ],
)
def test_pieces_that_do_not_tile_their_batch_are_refused(
    press: Ledger, batch: Batch, pieces: list, lost: list
) -> None:
    with pytest.raises(LedgerConflict, match="tile"):
        press.split_batch(batch.token, pieces=pieces, lost=lost, is_charged=False, why="by mistake")
    assert press.batch(batch.id).split_at is None


def test_what_is_lost_of_a_batch_is_a_gap_and_moves_nothing(press: Ledger, batch: Batch) -> None:
    [left] = press.split_batch(
        batch.token,
        pieces=[[OffsetRange(0, 3, 8), OffsetRange(1, 4, 9)]],
        lost=[(OffsetRange(0, 0, 3), "retention")],
        is_charged=False,
        why="retention",
    )
    deliver(press, judged_rows(press, left))
    press.commit(left)
    assert 0 == press.committed_offsets(PIPELINE)[0]
    [gap] = press.gaps(PIPELINE)
    assert (0, 0, 3) == (gap.partition, gap.start, gap.end)
    press.accept_gap(gap.id, who="a person", reason="seen")
    assert 8 == press.committed_offsets(PIPELINE)[0]


def judged_rows(ledger: Ledger, batch_id: int) -> Batch:
    batch = claim(ledger, batch_id)
    rows = [row(part.partition, at) for part in batch.ranges for at in range(part.start, part.end)]
    ledger.record_predictions(
        batch.token, rows, destination=DESTINATION, judge_digest=None, seconds=1
    )
    return batch


def test_pieces_are_committed_as_their_batch_would_have_been(press: Ledger, batch: Batch) -> None:
    first, second = halve(press, batch)
    deliver(press, judged_rows(press, second))
    press.commit(second)
    assert {0: 0, 1: 0} == press.committed_offsets(PIPELINE)
    deliver(press, judged_rows(press, first))
    press.commit(first)
    assert 8 == press.committed_offsets(PIPELINE)[0]


def test_failures_add_up_and_a_deadline_counts_for_all(press: Ledger, batch: Batch) -> None:
    press.count_failure(batch.token, "failure", error="it died")
    press.count_failure(batch.token, "failure", times=2, error="it never returned")
    press.count_failure(batch.token, "proof", error="it died alone")
    press.count_failure(batch.token, "company", error="it died among others")
    found = press.batch(batch.id)
    assert Trouble(failures=3, charges=0, proofs=1, is_suspect=True) == found.trouble
    assert "it died among others" == found.trouble.last_failure
    press.record_failure(batch.token, error="nothing answers", retry_after_seconds=1)
    assert "it died among others" == press.batch(batch.id).trouble.last_failure


def begin(ledger: Ledger, batch: Batch, *, is_alone: bool = False, server: str = "one") -> bool:
    return ledger.begin_judging(batch.token, server=server, is_alone=is_alone, lease_seconds=30)


@pytest.fixture
def three(press: Ledger) -> list[Batch]:
    return [claim(press, plan(press, OffsetRange(0, n, n + 1))) for n in range(3)]


def test_jobs_that_overlap_had_company_and_those_that_follow_had_none(
    press: Ledger, three: list[Batch]
) -> None:
    first, second, third = three
    assert begin(press, first)
    assert begin(press, second)
    assert begin(press, third, server="another")
    assert press.end_judging(first.token)
    assert press.end_judging(second.token)
    assert not press.end_judging(third.token)
    assert begin(press, first)
    assert not press.end_judging(first.token)


def test_one_that_is_alone_waits_for_the_others_and_keeps_all_out(
    press: Ledger, three: list[Batch]
) -> None:
    guest, suspect, late = three
    assert begin(press, guest)
    assert not begin(press, suspect, is_alone=True)
    assert not begin(press, late)
    press.end_judging(guest.token)
    assert not begin(press, late)
    assert begin(press, suspect, is_alone=True)
    assert not begin(press, late)
    assert not press.end_judging(suspect.token)
    assert begin(press, late)


def test_suspects_go_one_at_a_time_the_oldest_first(press: Ledger, three: list[Batch]) -> None:
    guest, older, newer = three
    assert begin(press, guest)
    assert not begin(press, newer, is_alone=True)
    assert not begin(press, older, is_alone=True)
    press.end_judging(guest.token)
    assert not begin(press, newer, is_alone=True)
    assert begin(press, older, is_alone=True)
    press.end_judging(older.token)
    assert begin(press, newer, is_alone=True)


def test_a_job_whose_process_died_keeps_nobody_out_for_long(
    press: Ledger, three: list[Batch]
) -> None:
    dead, suspect, _ = three
    assert begin(press, dead)
    with press._transactions.write() as connection:
        connection.execute(update(judging).values(until=from_now(-1)))
    assert begin(press, suspect, is_alone=True)
    # It wakes up, and cannot know who came meanwhile.
    assert press.end_judging(dead.token)


def test_of_many_who_come_at_once_nobody_misses_the_company(press: Ledger) -> None:
    many = [claim(press, plan(press, OffsetRange(0, n, n + 1))) for n in range(6)]
    with ThreadPoolExecutor(6) as pool:
        assert [True] * 6 == list(pool.map(lambda one: begin(press, one), many))
        assert [True] * 6 == list(pool.map(lambda one: press.end_judging(one.token), many))


def test_a_lease_that_is_renewed_keeps_the_judge_job_too(press: Ledger, batch: Batch) -> None:
    begin(press, batch)
    with press._transactions.write() as connection:
        connection.execute(update(judging).values(until=from_now(1)))
    press.renew(batch.token, 60)
    with press._transactions.read() as connection:
        left = connection.scalar(
            select(func.count()).where(judging.c.until > from_now(30)).select_from(judging)
        )
    assert 1 == left


def test_lost_images_end_in_a_gap_and_those_delivered_stay(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 6))
    due = press.consignments(batch.token)
    lost = [(OffsetRange(0, 0, 4), "retention")]
    press.record_intents(batch.token, [(due[0].record_id, "/part")])
    assert 3 == press.record_losses(batch.token, lost)
    assert 0 == press.record_losses(batch.token, lost)
    assert [(1, 4)] == [(gap.start, gap.end) for gap in press.gaps(PIPELINE)]
    assert [0, 4, 5] == [one.offset for one in press.consignments(batch.token)]


def test_no_offset_is_both_lost_and_answered(press: Ledger) -> None:
    batch = claim(press, plan(press, OffsetRange(0, 0, 7)))
    rows = [bad(at) if at == 3 else row(0, at) for at in range(7)]
    press.record_predictions(
        batch.token, rows, destination=DESTINATION, judge_digest=None, seconds=1
    )
    assert 4 == press.record_losses(batch.token, [(OffsetRange(0, 1, 6), "retention")])
    assert [(1, 3), (4, 6)] == [(gap.start, gap.end) for gap in press.gaps(PIPELINE)]


def test_the_chain_stops_at_a_gap_within_a_finished_range(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 6))
    press.record_losses(batch.token, [(OffsetRange(0, 2, 4), "another log")])
    put(press, batch)
    press.record_census(batch.token, [census_without(batch, 2, 4)], seconds=1)
    assert 2 == press.commit(batch.id)[0]
    assert not press.pipeline_state(PIPELINE).open_batches[0].retry_at
    press.accept_gap(press.gaps(PIPELINE)[0].id, who="a person", reason="seen")
    assert 6 == press.committed_offsets(PIPELINE)[0]


def census_without(batch: Batch, start: int, end: int):
    from fixtures.ledgers import census_of

    [part] = batch.ranges
    met = [at for at in range(part.start, part.end) if not start <= at < end]
    return census_of(part, met)


def bad(offset: int):
    return row(0, offset, label=None, quarantine=("damaged", "it is torn"))


def test_too_many_bad_images_block_in_the_transaction_that_records_them(press: Ledger) -> None:
    batch = claim(press, plan(press, OffsetRange(0, 0, 6)))
    rows = [bad(at) if at < 4 else row(0, at) for at in range(6)]
    press.record_predictions(
        batch.token, rows, destination=DESTINATION, judge_digest=None, seconds=1, max_quarantine=3
    )
    blocked = press.pipeline_state(PIPELINE).blocked
    assert "4 of 6 images of batch" in blocked.reason
    assert "4 damaged" in blocked.reason


@pytest.mark.parametrize("bad_ones", [3, 5])
def test_few_bad_images_or_a_small_share_block_nothing(press: Ledger, bad_ones: int) -> None:
    """More than max_quarantine *and* more than a twentieth."""
    images = 6 if bad_ones == 3 else 100
    batch = claim(press, plan(press, OffsetRange(0, 0, images)))
    rows = [bad(at) if at < bad_ones else row(0, at) for at in range(images)]
    press.record_predictions(
        batch.token, rows, destination=DESTINATION, judge_digest=None, seconds=1, max_quarantine=3
    )
    assert press.pipeline_state(PIPELINE).blocked is None


def test_an_hour_counts_over_batches_and_what_a_person_saw_does_not(press: Ledger) -> None:
    def one(offset: int) -> None:
        batch = claim(press, plan(press, OffsetRange(0, offset, offset + 1)))
        press.record_predictions(
            batch.token,
            [bad(offset)],
            destination=DESTINATION,
            judge_digest=None,
            seconds=1,
            max_quarantine=2,
        )

    one(0)
    one(1)
    assert press.pipeline_state(PIPELINE).blocked is None
    one(2)
    assert "3 of 3 images of the last hour" in press.pipeline_state(PIPELINE).blocked.reason
    press.unblock(PIPELINE, who="a person")
    one(3)
    assert press.pipeline_state(PIPELINE).blocked is None
    with press._transactions.write() as connection:
        connection.execute(update(quarantine).values(found_at=from_now(-4000)))
    one(4)
    one(5)
    assert press.pipeline_state(PIPELINE).blocked is None


def test_refusals_of_the_server_trip_the_breaker_too(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 5))
    due = press.consignments(batch.token)
    refusals = [Refusal(one.record_id, "upload refused", "550 no") for one in due]
    press.record_refusals(batch.token, refusals[:2], max_quarantine=2)
    assert press.pipeline_state(PIPELINE).blocked is None
    press.record_refusals(batch.token, refusals[2:], max_quarantine=2)
    assert "5 of 5 images of batch" in press.pipeline_state(PIPELINE).blocked.reason


def test_the_next_generation_begins_once_and_the_old_one_ends_by_itself(press: Ledger) -> None:
    old = judged(press, OffsetRange(0, 0, 4))
    arguments = {
        "generation": 1,
        "cluster_id": "cluster",
        "topic_id": "another",
        "starts": {0: 0, 1: 0},
        "who": "a person",
        "reason": "created anew",
    }
    press.accept_topic(PIPELINE, **arguments)
    with pytest.raises(LedgerConflict, match="no longer in generation 1"):
        press.accept_topic(PIPELINE, **arguments)
    state = press.pipeline_state(PIPELINE)
    assert (2, "another") == (state.generation, state.topic_id)
    assert [old.id] == [leaf.id for leaf in state.open_batches]
    assert {0: 0, 1: 0} == press.superseded_from(PIPELINE, 1)
    assert {} == press.superseded_from(PIPELINE, 2)
    deliver(press, old)
    assert 4 == press.commit(old.id)[0]
    new = carried(press, OffsetRange(0, 0, 2))
    assert 2 == new.generation
    assert 2 == press.commit(new.id)[0]
    assert {0: 2, 1: 0} == press.committed_offsets(PIPELINE)


def test_a_truncated_log_is_superseded_from_where_it_differs(press: Ledger) -> None:
    plan(press, OffsetRange(0, 0, 9))
    topic = press.pipeline_state(PIPELINE).topic_id
    press.accept_topic(
        PIPELINE,
        generation=1,
        cluster_id="cluster",
        topic_id=topic,
        starts={0: 5, 1: 0},
        who="a person",
        reason="the disk died",
    )
    assert {0: 5, 1: 0} == press.superseded_from(PIPELINE, 1)
    assert 5 == press.pipeline_state(PIPELINE).progress[0].committed


def accepted(press: Ledger, topic_id: str, **starts: int) -> None:
    press.accept_topic(
        PIPELINE,
        generation=press.pipeline_state(PIPELINE).generation,
        cluster_id="cluster",
        topic_id=topic_id,
        starts={int(partition[1:]): start for partition, start in starts.items()},
        who="a person",
        reason="a story",
    )


def test_a_topic_that_comes_back_is_what_it_was(press: Ledger) -> None:
    plan(press, OffsetRange(0, 0, 6))
    ours = press.pipeline_state(PIPELINE).topic_id
    accepted(press, "another", p0=0)
    assert {0: 0, 1: 0} == press.superseded_from(PIPELINE, 1)
    planned = press.planned_of_topic(PIPELINE, cluster_id="cluster", topic_id=ours)
    assert {0: 6, 1: 0} == planned
    assert {} == press.planned_of_topic(PIPELINE, cluster_id="cluster", topic_id="unknown")
    accepted(press, ours, p0=6, p1=0)
    assert {0: 6, 1: 0} == press.superseded_from(PIPELINE, 1)
    assert {0: 0} == press.superseded_from(PIPELINE, 2)


def test_a_topic_of_fewer_partitions_has_none_of_the_older_ones(press: Ledger) -> None:
    plan(press, OffsetRange(0, 0, 2), OffsetRange(1, 0, 2))
    accepted(press, "another", p0=0)
    assert {0: 0, 1: 0} == press.superseded_from(PIPELINE, 1)


def test_how_far_the_ledger_knows_of_every_record(press: Ledger) -> None:
    def known(start: int, end: int = 20) -> int:
        return press.finished_through(PIPELINE, partition=0, start=start, end=end)

    carried(press, OffsetRange(0, 0, 4))
    carried(press, OffsetRange(0, 4, 8))
    judged(press, OffsetRange(0, 8, 10), said=[])
    assert (known(0), known(5), known(0, 6), known(8)) == (8, 8, 6, 8)
    topic = press.pipeline_state(PIPELINE).topic_id
    accepted(press, topic, p0=6, p1=0)
    assert (known(0), known(6)) == (6, 6)
    carried(press, OffsetRange(0, 6, 12))
    assert known(0) == 12


def test_nobody_takes_over_partitions_that_another_pipeline_has(press: Ledger) -> None:
    press.register_pipeline("other", cluster_id="cluster", topic="o", topic_id="o", starts={0: 0})
    plan(press, OffsetRange(0, 0, 1))
    with pytest.raises(LedgerConflict, match="belongs to pipeline other"):
        press.accept_topic(
            PIPELINE,
            generation=1,
            cluster_id="cluster",
            topic_id="o",
            starts={0: 0},
            who="a person",
            reason="a typing error",
        )
    assert 1 == press.pipeline_state(PIPELINE).generation


def test_the_last_recorded_row_below_an_offset(press: Ledger) -> None:
    judged(press, OffsetRange(0, 0, 6))
    found = press.last_recorded(PIPELINE, partition=0, start=0, end=4)
    assert 3 == found[0]
    assert press.last_recorded(PIPELINE, partition=1, start=0, end=9) is None


def test_splitting_at_random_keeps_every_offset_once(press: Ledger) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    leaves = [plan(press, OffsetRange(0, 0, 40), OffsetRange(1, 0, 25))]
    for _ in range(12):
        chosen = leaves.pop(chance.randrange(len(leaves)))
        batch = claim(press, chosen)
        if batch.offsets == 1:
            leaves.append(chosen)
            continue
        leaves += halve(press, batch)
    parts = sorted(part for leaf in leaves for part in press.batch(leaf).ranges)
    covered = [(part.partition, at) for part in parts for at in range(part.start, part.end)]
    whole = [*((0, at) for at in range(40)), *((1, at) for at in range(25))]
    assert whole == covered, f"seed {seed}"


def test_an_owner_of_another_lease_is_told_who_has_the_batch(press: Ledger, batch: Batch) -> None:
    with pytest.raises(BatchOwned, match="owned by me"):
        claim(press, batch.id, owner="another")


def test_two_pipelines_are_charged_apart(press: Ledger, batch: Batch) -> None:
    register(press, "press-b")
    other = claim(press, plan(press, OffsetRange(0, 0, 2), pipeline="press-b"))
    press.count_failure(batch.token, "failure", error="it died")
    assert 0 == press.batch(other.id).trouble.failures
