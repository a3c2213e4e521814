"""Planning: registration, compare-and-swap on the planned offsets, gaps, blocks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest
from fixtures.ledgers import PIPELINE, carried, claim, deliver, plan, record, register, rows

from frameferry.domain.batch import BatchCost
from frameferry.domain.offsets import OffsetRange, Progress
from frameferry.errors import LedgerConflict, PlanStale, TopicChanged
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger


def test_an_unknown_pipeline_has_no_state(ledger: Ledger) -> None:
    assert ledger.pipeline_state(PIPELINE) is None
    assert ledger.committed_offsets(PIPELINE) == {}
    assert ledger.gaps(PIPELINE) == []
    with pytest.raises(LedgerConflict, match="pipeline press-a: the ledger does not know"):
        plan(ledger, OffsetRange(0, 0, 5))


def test_a_pipeline_starts_where_it_is_told(ledger: Ledger) -> None:
    starts = {0: 4711, 1: 0}
    ledger.register_pipeline(PIPELINE, cluster_id="c", topic="t", topic_id="i", starts=starts)
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    assert {0: Progress(0, 4711, 4711, start=4711), 1: Progress(1, 0, 0)} == state.progress
    assert (
        state.name,
        state.generation,
        state.cluster_id,
        state.topic_id,
    ) == (PIPELINE, 1, "c", "i")
    assert (state.blocked, state.open_batches, state.costs) == (None, (), ())


def test_registering_again_adds_partitions_and_moves_none(press: Ledger) -> None:
    plan(press, OffsetRange(0, 0, 7))
    register(press, partitions=3)
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    assert {p: at.planned for p, at in state.progress.items()} == {0: 7, 1: 0, 2: 0}


def test_another_topic_or_cluster_is_refused(press: Ledger) -> None:
    with pytest.raises(TopicChanged, match="pipeline press-a: another topic than the ledger's"):
        register(press, topic_id="created-anew")
    with pytest.raises(TopicChanged, match="another Kafka cluster"):
        press.register_pipeline(
            PIPELINE, cluster_id="other", topic="t", topic_id="press-a-topic", starts={}
        )


def test_a_partition_of_another_pipeline_is_refused_and_its_owner_named(press: Ledger) -> None:
    press.register_pipeline(
        "press-b", cluster_id="cluster", topic="t", topic_id="press-a-topic", starts={5: 0}
    )
    with pytest.raises(
        LedgerConflict, match=r"pipeline press-b, partition 1: .* belongs to pipeline press-a"
    ):
        press.register_pipeline(
            "press-b",
            cluster_id="cluster",
            topic="t",
            topic_id="press-a-topic",
            starts={5: 0, 1: 0},
        )
    state = press.pipeline_state("press-b")
    assert state is not None
    assert {5} == set(state.progress)


def test_two_who_claim_one_partition_at_once_do_not_both_get_it(ledger_url: str) -> None:
    barrier = Barrier(2)

    def own(name: str) -> bool:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            try:
                register(ledger, name, topic_id="shared", partitions=1)
            except LedgerConflict:
                return False
            return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(own, ["press-a", "press-b"])) == [False, True]


def test_a_batch_freezes_its_ranges_and_moves_the_planned_offsets(press: Ledger) -> None:
    batch_id = plan(press, OffsetRange(1, 0, 4), OffsetRange(0, 0, 9))
    batch = press.batch(batch_id)
    assert (OffsetRange(0, 0, 9), OffsetRange(1, 0, 4)) == batch.ranges
    assert (batch.kind, batch.token.attempt, batch.sentence) == ("live", 0, "a few")
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    assert {0: Progress(0, 9, 0), 1: Progress(1, 4, 0)} == state.progress
    assert [batch_id] == [leaf.id for leaf in state.open_batches]


@pytest.mark.parametrize(
    "stale",
    [OffsetRange(0, 0, 9), OffsetRange(0, 8, 12), OffsetRange(0, 10, 12), OffsetRange(7, 0, 1)],
)
def test_a_stale_plan_is_refused_and_leaves_nothing(press: Ledger, stale: OffsetRange) -> None:
    plan(press, OffsetRange(0, 0, 9))
    with pytest.raises(PlanStale, match="another planner was faster"):
        plan(press, OffsetRange(1, 0, 5), stale)
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    assert {p: at.planned for p, at in state.progress.items()} == {0: 9, 1: 0}
    assert len(state.open_batches) == 1


def test_of_two_planners_at_once_one_is_stale(ledger_url: str, press: Ledger) -> None:
    barrier = Barrier(2)

    def freeze(end: int) -> int:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            try:
                return plan(ledger, OffsetRange(0, 0, end), OffsetRange(1, 0, end))
            except PlanStale:
                return 0

    with ThreadPoolExecutor(2) as pool:
        planned = sorted(pool.map(freeze, [5, 6]))
    assert 0 == planned[0] < planned[1]


def test_a_batch_without_ranges_is_refused(press: Ledger) -> None:
    with pytest.raises(LedgerConflict, match="at least one range"):
        plan(press)


def test_an_unknown_batch_is_named(press: Ledger) -> None:
    with pytest.raises(LedgerConflict, match="no batch 4711"):
        press.batch(4711)
    with pytest.raises(LedgerConflict, match="no batch 4711"):
        claim(press, 4711)


def test_a_gap_lets_planning_go_on_and_holds_back_only_what_is_committed(press: Ledger) -> None:
    gap = press.record_gap(PIPELINE, partition=0, start=0, end=100, cause="retention")
    batch = carried(press, OffsetRange(0, 100, 103))
    assert press.commit(batch.id) == {0: 0, 1: 0}
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    (leaf,) = state.open_batches
    assert (leaf.finished, leaf.held_by_gap) == (True, True)
    assert press.counts(PIPELINE).gaps == 100

    press.accept_gap(gap, who="anna", reason="the line stood still")
    assert press.committed_offsets(PIPELINE) == {0: 103, 1: 0}
    assert press.batch(batch.id).committed_at is not None
    assert press.counts(PIPELINE).gaps == 0
    (line,) = press.gaps(PIPELINE)
    assert (gap, 0, 0, 100, "retention", "anna") == (
        line.id,
        line.partition,
        line.start,
        line.end,
        line.cause,
        line.accepted_by,
    )


def test_a_gap_that_is_not_at_the_planned_offset_is_stale(press: Ledger) -> None:
    with pytest.raises(PlanStale):
        press.record_gap(PIPELINE, partition=0, start=3, end=9, cause="retention")
    assert press.gaps(PIPELINE) == []


def test_a_gap_is_signed_once(press: Ledger) -> None:
    gap = press.record_gap(PIPELINE, partition=0, start=0, end=9, cause="retention")
    press.accept_gap(gap, who="anna", reason="first")
    press.accept_gap(gap, who="otto", reason="second")
    assert [line.accepted_by for line in press.gaps(PIPELINE)] == ["anna"]
    assert press.committed_offsets(PIPELINE) == {0: 9, 1: 0}
    with pytest.raises(LedgerConflict, match="no gap 99"):
        press.accept_gap(99, who="anna", reason="none")


def test_a_block_stands_until_a_person_lifts_it(press: Ledger) -> None:
    press.block(PIPELINE, reason="530 no\x00 entry", digest="d1")
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    assert state.blocked is not None
    assert (state.blocked.reason, state.blocked.digest) == ("530 no\ufffd entry", "d1")
    assert abs((state.now - state.blocked.since).total_seconds()) < 60
    assert press.unblock(PIPELINE, who="anna")
    assert not press.unblock(PIPELINE, who="anna")
    state = press.pipeline_state(PIPELINE)
    assert state is not None
    assert state.blocked is None


def test_children_of_a_charged_batch_teach_nothing_and_those_of_one_too_large_do(
    press: Ledger,
) -> None:
    carried(press, OffsetRange(0, 0, 60))
    before = costs_of(press)
    assert [(cost.offsets, cost.records) for cost in before] == [(60, 60)]
    isolate(press, OffsetRange(0, 60, 64), is_charged=True)
    assert costs_of(press) == before
    isolate(press, OffsetRange(0, 64, 66), is_charged=False)
    assert [cost.offsets for cost in costs_of(press)] == [1, 1, 60]


def costs_of(ledger: Ledger) -> tuple[BatchCost, ...]:
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    return state.costs


def isolate(ledger: Ledger, wanted: OffsetRange, *, is_charged: bool) -> None:
    """Carry a batch in pieces of one offset, as if each half had failed and been split again."""
    batch = claim(ledger, plan(ledger, wanted))
    singles = [
        [OffsetRange(wanted.partition, at, at + 1)] for at in range(wanted.start, wanted.end)
    ]
    children = ledger.split_batch(
        batch.token, pieces=singles, lost=(), is_charged=is_charged, why="it failed"
    )
    for child_id in children:
        child = claim(ledger, child_id)
        record(ledger, child.token, rows(child.ranges))
        deliver(ledger, child)
