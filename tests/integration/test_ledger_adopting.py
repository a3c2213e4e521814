"""A pipeline that is adopted: all of it in one transaction, and only while nothing has begun."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest
from fixtures.ledgers import PIPELINE, carried, plan, register
from fixtures.outside import Outside
from sqlalchemy import event

from frameferry.domain.adoption import Carried, Takeover
from frameferry.domain.offsets import OffsetRange, Progress
from frameferry.errors import LedgerConflict, PlanStale, TopicChanged
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

PLANNED = (
    Carried((OffsetRange(0, 4711, 4720), OffsetRange(1, 7, 9)), "the first part"),
    Carried((OffsetRange(0, 4720, 4800),), "the second part"),
)


WANTED = Takeover(
    cluster_id="cluster",
    topic=f"{PIPELINE}.images",
    topic_id=f"{PIPELINE}-topic",
    starts={0: 4711, 1: 7},
    lost=(),
    reason="",
    carried=(),
    config_digest="c" * 64,
)


def adopt(
    ledger: Ledger,
    name: str = PIPELINE,
    *,
    again: bool = False,
    detail: str = "Spark checkpoint /old",
    **otherwise: Any,
) -> None:
    ledger.adopt(name, replace(WANTED, **otherwise), again=again, who="ada", detail=detail)


def progress(ledger: Ledger) -> dict[int, Progress]:
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    return dict(state.progress)


ADOPTED = {0: Progress(0, 4711, 4711, start=4711), 1: Progress(1, 7, 7, start=7)}


def actions(ledger_url: str) -> list[tuple[str, str, str]]:
    with closing(Outside(ledger_url)) as outside:
        rows = outside.of("action", PIPELINE)
        return [(row["who"], row["what"], row["detail"]) for row in rows]


def test_an_unknown_pipeline_begins_at_the_adopted_offsets(ledger_url: str, ledger: Ledger) -> None:
    adopt(ledger)
    assert progress(ledger) == ADOPTED
    assert [("ada", "adopt", "Spark checkpoint /old")] == actions(ledger_url)
    before = ledger.adopted(PIPELINE)
    assert before is not None
    assert ("ada", "Spark checkpoint /old") == (before.who, before.detail)
    plan(ledger, OffsetRange(0, 4711, 4712))


def test_one_that_is_registered_and_has_begun_nothing_is_moved(press: Ledger) -> None:
    adopt(press)
    assert progress(press) == ADOPTED
    with pytest.raises(PlanStale):
        plan(press, OffsetRange(0, 0, 5))


def test_a_partition_that_is_new_comes_along(press: Ledger) -> None:
    adopt(press, starts={0: 4711, 1: 7, 2: 3})
    assert {**ADOPTED, 2: Progress(2, 3, 3, start=3)} == progress(press)


def test_what_was_planned_elsewhere_is_frozen_in_the_same_transaction(ledger: Ledger) -> None:
    adopt(ledger, carried=PLANNED)
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    assert [one.ranges for one in PLANNED] == [leaf.ranges for leaf in state.open_batches]
    assert [one.sentence for one in PLANNED] == [leaf.sentence for leaf in state.open_batches]
    assert {0: 4800, 1: 9} == {at: one.planned for at, one in state.progress.items()}
    assert {0: 4711, 1: 7} == {at: one.committed for at, one in state.progress.items()}


def test_what_is_lost_is_a_gap_that_is_accepted_with_its_reason(
    ledger_url: str, ledger: Ledger
) -> None:
    lost = OffsetRange(0, 4711, 4715)
    adopt(ledger, lost=(lost,), reason="they were too old")
    [gap] = ledger.gaps(PIPELINE)
    assert (0, 4711, 4715, "ada") == (gap.partition, gap.start, gap.end, gap.accepted_by)
    assert Progress(0, 4715, 4715, start=4711) == progress(ledger)[0]
    assert ["accept gap", "adopt"] == [what for _, what, _ in actions(ledger_url)]


def begun_by_a_batch(ledger: Ledger) -> None:
    register(ledger)
    plan(ledger, OffsetRange(0, 0, 1))


def begun_by_a_committed_batch(ledger: Ledger) -> None:
    register(ledger)
    ledger.commit(carried(ledger, OffsetRange(0, 0, 1)).id)


def begun_by_a_gap(ledger: Ledger) -> None:
    register(ledger)
    ledger.record_gap(PIPELINE, partition=1, start=0, end=3, cause="retention")


def begun_by_what_was_carried(ledger: Ledger) -> None:
    adopt(ledger, carried=PLANNED)


@pytest.mark.parametrize(
    "begin",
    [begun_by_a_batch, begun_by_a_committed_batch, begun_by_a_gap, begun_by_what_was_carried],
)
def test_one_that_has_begun_is_refused_and_not_moved(ledger_url, ledger, begin) -> None:
    begin(ledger)
    before, recorded = progress(ledger), actions(ledger_url)
    for again in (False, True):
        with pytest.raises(LedgerConflict, match=r"has planned something already.*replay"):
            adopt(ledger, again=again, starts={0: 1, 1: 1})
        with pytest.raises(LedgerConflict, match="has planned something already"):
            ledger.refuse_begun(PIPELINE, again=again)
    assert before == progress(ledger)
    assert recorded == actions(ledger_url)


def test_twice_is_refused_and_once_more_is_said_with_again(ledger_url: str, ledger: Ledger) -> None:
    adopt(ledger)
    with pytest.raises(LedgerConflict, match=r"adopted already, on .* by ada .*--again"):
        adopt(ledger, starts={0: 1, 1: 1})
    assert progress(ledger) == ADOPTED
    adopt(ledger, starts={0: 1, 1: 1}, again=True, detail="file /mended")
    assert {0: Progress(0, 1, 1, start=1), 1: Progress(1, 1, 1, start=1)} == progress(ledger)
    assert ["Spark checkpoint /old", "file /mended"] == [one for _, _, one in actions(ledger_url)]


def test_a_refused_adoption_registers_nothing(ledger: Ledger) -> None:
    astray = Carried((OffsetRange(0, 9, 12),), "it does not begin at the start")
    with pytest.raises(PlanStale):
        adopt(ledger, carried=(astray,))
    assert ledger.pipeline_state(PIPELINE) is None


def test_another_topic_or_owner_is_refused(press: Ledger) -> None:
    with pytest.raises(TopicChanged):
        adopt(press, topic_id="created-anew")
    with pytest.raises(LedgerConflict, match="belongs to pipeline press-a"):
        adopt(press, "press-b", starts={0: 1})
    assert press.pipeline_state("press-b") is None


def test_of_an_adoption_and_a_planner_at_once_one_gives_way(ledger_url: str) -> None:
    barrier = Barrier(2)

    def both(work: str) -> str:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait(30)
            try:
                adopt(ledger) if work == "adopt" else plan(ledger, OffsetRange(0, 0, 5))
            except (LedgerConflict, PlanStale) as error:
                return type(error).__name__
            return "done"

    with closing(open_ledger(ledger_url)) as ledger:
        register(ledger)
    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(("adopt", "plan"), pool.map(both, ("adopt", "plan")), strict=True))
    with closing(open_ledger(ledger_url)) as ledger:
        planned = progress(ledger)[0].planned
    assert said in (
        {"adopt": "done", "plan": "PlanStale"},
        {"adopt": "LedgerConflict", "plan": "done"},
    )
    assert planned == (4711 if said["adopt"] == "done" else 5)


def test_a_planner_that_comes_between_looking_and_moving_gives_way(ledger_url: str) -> None:
    planned: list[Future[int]] = []
    with (
        closing(open_ledger(ledger_url)) as ledger,
        closing(open_ledger(ledger_url)) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        register(ledger)

        def before(_: Any, __: Any, statement: str, *___: Any) -> None:
            """Let the planner try now: it is done at once, or waits for the adoption's end."""
            if statement.startswith("UPDATE progress") and not planned:
                planned.append(pool.submit(plan, other, OffsetRange(0, 0, 5)))
                wait(planned, timeout=1)

        event.listen(ledger._transactions._engine, "before_cursor_execute", before)
        adopt(ledger)
        with pytest.raises(PlanStale):
            planned[0].result(30)
        assert progress(ledger) == ADOPTED


def test_of_two_adoptions_at_once_one_is_refused(ledger_url: str) -> None:
    barrier = Barrier(2)

    def one(offset: int) -> int:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait(30)
            try:
                adopt(ledger, starts={0: offset, 1: offset})
            except LedgerConflict:
                return -1
            return offset

    open_ledger(ledger_url).close()
    with ThreadPoolExecutor(2) as pool:
        begun = max(won := sorted(pool.map(one, (5, 6))))
    assert won[0] == -1
    with closing(open_ledger(ledger_url)) as ledger:
        assert {0: begun, 1: begun} == {at: p.planned for at, p in progress(ledger).items()}
