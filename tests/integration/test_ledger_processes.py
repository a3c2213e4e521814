"""Several processes on one ledger: none loses a write, and a killed one leaves nothing half."""

from __future__ import annotations

import multiprocessing
from contextlib import closing
from multiprocessing.synchronize import Event

import pytest
from fixtures.ledgers import PIPELINE, claim, plan, record, register, rows
from sqlalchemy import update

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import PlanStale
from frameferry.ledger.database import tables
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.guards import fence
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

SPAWN = multiprocessing.get_context("spawn")
WRITERS = 3
BATCHES = 15
STUCK_SECONDS = 120


def _plan_many(url: str) -> None:
    """Plan batches of two offsets, as long as it takes to get in between the others."""
    with closing(open_ledger(url)) as ledger:
        done = 0
        while done < BATCHES:
            state = ledger.pipeline_state(PIPELINE)
            assert state is not None
            start = state.progress[0].planned
            try:
                batch_id = plan(ledger, OffsetRange(0, start, start + 2))
            except PlanStale:
                continue
            batch = claim(ledger, batch_id)
            record(ledger, batch.token, rows(batch.ranges))
            done += 1


def _die_in_a_write(url: str, batch_id: int, wrote: Event) -> None:
    with closing(open_ledger(url)) as ledger:
        batch = claim(ledger, batch_id)
        with ledger._transactions.write() as connection:
            fence.fence(connection, batch.token, inferred_at=from_now())
            connection.execute(update(tables.progress).values(planned_offset=99))
            wrote.set()
            SPAWN.Event().wait(STUCK_SECONDS)


@pytest.fixture
def shared_url(ledger_url: str) -> str:
    with closing(open_ledger(ledger_url)) as ledger:
        register(ledger)
    return ledger_url


def test_processes_write_at_once_and_none_is_locked_out(shared_url: str) -> None:
    workers = [SPAWN.Process(target=_plan_many, args=(shared_url,)) for _ in range(WRITERS)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(STUCK_SECONDS)
    assert [worker.exitcode for worker in workers] == [0] * WRITERS
    with closing(open_ledger(shared_url)) as ledger:
        state = ledger.pipeline_state(PIPELINE)
        assert state is not None
        starts = [leaf.ranges[0].start for leaf in state.open_batches]
        assert sorted(starts) == list(range(0, 2 * WRITERS * BATCHES, 2))
        assert ledger.counts(PIPELINE).records == 2 * WRITERS * BATCHES


def test_a_killed_writer_leaves_nothing_and_holds_nobody_up(shared_url: str) -> None:
    with closing(open_ledger(shared_url)) as ledger:
        batch_id = plan(ledger, OffsetRange(0, 0, 2))
        wrote = SPAWN.Event()
        worker = SPAWN.Process(target=_die_in_a_write, args=(shared_url, batch_id, wrote))
        worker.start()
        assert wrote.wait(STUCK_SECONDS)
        worker.kill()
        worker.join(STUCK_SECONDS)
        _go_on(ledger, batch_id)


def _go_on(ledger: Ledger, batch_id: int) -> None:
    batch = claim(ledger, batch_id)
    assert (batch.token.attempt, batch.inferred_at) == (2, None)
    state = ledger.pipeline_state(PIPELINE)
    assert state is not None
    assert state.progress[0].planned == 2
    record(ledger, batch.token, rows(batch.ranges))
