from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from frameferry.domain.offsets import OffsetRange, Progress, Watermarks
from frameferry.domain.state import Block, OpenBatch, PipelineState, Readiness
from frameferry.planning.readiness import (
    leaves_to_take,
    may_open,
    progress_to_plan,
    readiness,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=90), NOW - timedelta(seconds=90)
LAG = {0: Watermarks(0, 30, 30)}
NO_LAG = {0: Watermarks(0, 20, 20)}
STATE = PipelineState(
    name="press-a",
    generation=1,
    cluster_id="c",
    topic_id="t",
    blocked=None,
    progress={0: Progress(0, 20, 0)},
    open_batches=(),
    costs=(),
    now=NOW,
)


def leaf(number: int = 1, *, root: int | None = None, **changes: Any) -> OpenBatch:
    fresh = OpenBatch(
        id=number,
        root_id=root or number,
        kind="live",
        ranges=(OffsetRange(0, 0, 20),),
        inferred=False,
        finished=False,
        held_by_gap=False,
        retry_at=None,
        leased_until=None,
        last_error=None,
        sentence="",
    )
    return replace(fresh, **changes)


def ask(
    *leaves: OpenBatch, marks: dict[int, Watermarks] = LAG, max_open: int = 2, **changes: Any
) -> Readiness:
    state = replace(STATE, open_batches=leaves, **changes)
    return readiness(state, marks, max_open=max_open)


def test_lag_is_work() -> None:
    assert ask() == Readiness(now=True, reason="lag 10", retry_in_seconds=0)


def test_no_lag_is_none_and_only_the_world_can_change_it() -> None:
    assert ask(marks=NO_LAG) == Readiness(now=False, reason="no lag", retry_in_seconds=None)


def test_a_pipeline_that_was_never_planned_is_work() -> None:
    assert readiness(None, NO_LAG, max_open=2).now


def test_a_block_holds_everything() -> None:
    blocked = ask(leaf(), blocked=Block("wrong password", "digest", NOW))
    assert blocked == Readiness(now=False, reason="blocked: wrong password", retry_in_seconds=None)


def test_an_open_leaf_is_work_even_without_lag_or_room() -> None:
    assert ask(leaf(1), leaf(2), marks=NO_LAG, max_open=1) == Readiness(
        now=True, reason="2 open leaves to go on with", retry_in_seconds=0
    )


def test_a_finished_leaf_that_can_be_committed_is_work() -> None:
    assert ask(leaf(finished=True, inferred=True), marks=NO_LAG).now


@pytest.mark.parametrize("held", ["retry_at", "leased_until"])
def test_back_off_and_lease_hold_a_leaf_until_they_are_over(held: str) -> None:
    answer = ask(leaf(7, **{held: LATER}), marks=NO_LAG)
    assert not answer.now
    assert answer.retry_in_seconds == 90
    assert "batch 7" in answer.reason
    assert "90 s" in answer.reason
    assert ask(leaf(7, **{held: EARLIER}), marks=NO_LAG).now
    assert ask(leaf(7, **{held: NOW}), marks=NO_LAG).now


def test_the_later_of_back_off_and_lease_counts() -> None:
    held = leaf(retry_at=LATER, leased_until=LATER + timedelta(seconds=30))
    assert ask(held, marks=NO_LAG).retry_in_seconds == 120


def test_the_first_leaf_to_come_free_says_when_to_ask_again() -> None:
    leaves = leaf(1, retry_at=LATER), leaf(2, leased_until=NOW + timedelta(seconds=5))
    assert ask(*leaves, marks=NO_LAG).retry_in_seconds == 5


def test_lag_behind_held_batches_is_work_only_below_max_open() -> None:
    held = leaf(1, retry_at=LATER), leaf(2, retry_at=LATER)
    assert ask(held[0]).now
    answer = ask(*held)
    assert not answer.now
    assert answer.retry_in_seconds == 90
    assert "lag 10, but 2 open batches held back (max_open 2)" in answer.reason


def test_the_children_of_one_root_count_as_one() -> None:
    children = [leaf(n, root=1, retry_at=LATER) for n in (2, 3, 4)]
    assert ask(*children).now


def test_a_batch_that_waits_for_a_gap_is_no_work_and_takes_no_room() -> None:
    waiting = [leaf(n, finished=True, held_by_gap=True) for n in (1, 2, 3)]
    assert ask(*waiting).now
    answer = ask(*waiting, marks=NO_LAG)
    assert (answer.now, answer.retry_in_seconds) == (False, None)
    assert "batch 1 is finished and waits for a gap" in answer.reason


def test_an_open_replay_is_left_to_its_own_run_and_takes_no_room() -> None:
    replay = leaf(9, kind="replay", leased_until=LATER)
    state = replace(STATE, open_batches=(replay,))
    assert may_open(state, 1)
    assert not ask(replace(replay, leased_until=None), marks=NO_LAG).now
    assert ask(replay, marks=NO_LAG).retry_in_seconds is None


def test_a_piece_of_a_replay_is_work_once_its_back_off_is_over() -> None:
    piece = leaf(2, root=1, kind="replay", is_piece=True)
    assert readiness(replace(STATE, open_batches=(piece,)), NO_LAG, max_open=1).now
    held = replace(STATE, open_batches=(replace(piece, retry_at=LATER),))
    assert readiness(held, NO_LAG, max_open=1).retry_in_seconds == 90


def test_a_gap_to_record_is_work_though_nothing_lags_behind_it() -> None:
    answer = ask(marks={0: Watermarks(25, 25, 25)})
    assert answer.now
    assert answer.reason == "a gap to record: 0:[20, 25) lost to retention"


def test_a_partition_first_seen_begins_at_zero() -> None:
    marks = {**NO_LAG, 1: Watermarks(4, 9, 9)}
    assert progress_to_plan(STATE, marks)[1] == Progress(1, 0, 0)
    assert ask(marks=marks).reason == "a gap to record: 1:[0, 4) lost to retention"
    assert not ask(marks={**NO_LAG, 1: Watermarks(0, 0, 0)}).now


def test_an_open_transaction_is_said() -> None:
    answer = ask(marks={0: Watermarks(0, 20, 25)})
    assert answer.reason == "no lag; an open transaction holds back 5 offsets"


def test_a_truncated_log_is_said_and_is_no_work() -> None:
    answer = ask(marks={0: Watermarks(0, 12, 12)})
    assert not answer.now
    assert answer.reason == (
        "partition 0 ends at 12, below its planned offset 20: truncated, or its topic was "
        "created anew"
    )


def test_the_oldest_leaf_comes_first() -> None:
    state = replace(STATE, open_batches=(leaf(3), leaf(1), leaf(2, retry_at=LATER)))
    assert [one.id for one in leaves_to_take(state)] == [1, 3]
