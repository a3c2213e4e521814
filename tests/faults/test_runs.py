"""What one run takes on, and what becomes of the next one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fixtures.plant import Plant, Process, Site

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import (
    ConnectionMissing,
    ConnectionUnresolved,
    FrameferryError,
    PredictionsIncomplete,
)
from frameferry.pipeline import steps, world

pytestmark = pytest.mark.usefixtures("quick_retries")


def one_batch(plant: Plant, end: int) -> int:
    """Plan one batch over the log's beginning, whatever the controller would have made of it."""
    process = plant.process()
    world.look(process.ctx)
    process.attempt(steps.publish)
    return plant.site.ledger.add_batch(
        plant.pipeline, ranges=[OffsetRange(0, 0, end)], sentence="by hand", config_digest="c" * 64
    )


def test_a_run_takes_on_no_more_leaves_than_airflow_can_expand(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(steps.MOST_LEAVES + 3)
    ledger, ctx = sqlite_site.ledger, plant.process().ctx
    token = ledger.claim(one_batch(plant, steps.MOST_LEAVES + 2), owner="me", lease_seconds=9).token
    pieces = [[OffsetRange(0, at, at + 1)] for at in range(steps.MOST_LEAVES + 2)]
    leaves = ledger.split_batch(token, pieces=pieces, is_charged=True, why="it dies")
    planned = steps.plan(ctx).batch_ids
    # A root is planned beside them, and the status and the next runs know of all.
    assert leaves[:256] == planned
    assert [*leaves, leaves[-1] + 1] == plant.open_batches()
    assert "259 open leaves to go on with" == steps.wait(ctx).reason
    for batch_id in planned[:2]:
        ledger.record_failure(
            ledger.claim(batch_id, owner="me", lease_seconds=0).token,
            error="it dies",
            retry_after_seconds=99,
        )
    assert leaves[2:258] == steps.plan(ctx).batch_ids


def without_ftp(plant: Plant, error: type[FrameferryError]) -> Process:
    """Start a process that finds no FTP connection."""
    process = plant.process()
    found = process.ctx.resolve

    def resolve(conn_id: str) -> Any:
        if conn_id == plant.settings.deliver.connection:
            msg = f"connection {conn_id!r} is not defined"
            raise error(msg)
        return found(conn_id)

    process.ctx = replace(process.ctx, resolve=resolve)
    return process


@pytest.mark.parametrize("is_judged", [True, False])
@pytest.mark.parametrize("error", [ConnectionMissing, ConnectionUnresolved])
def test_a_missing_connection_is_missed_before_judging_and_begins_no_run(
    sqlite_site: Site, is_judged: bool, error: type[FrameferryError]
) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(3)
    [batch] = steps.plan(plant.process().ctx).batch_ids
    if is_judged:
        steps.infer(plant.process().ctx, batch)
    judged, process = plant.judge.calls, without_ftp(plant, error)
    process.carry()
    assert [error] == [type(met) for met in process.errors]
    answer = steps.wait(process.ctx)
    assert not answer.now
    assert f"batch {batch} backs off" in answer.reason
    assert judged == plant.judge.calls
    plant.finish()
    assert [] == plant.open_batches()


def test_what_stands_where_it_should_is_judged_without_a_claim(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(3)
    [batch] = steps.plan(plant.process().ctx).batch_ids
    steps.infer(plant.process().ctx, batch)
    token = sqlite_site.ledger.batch(batch).token
    assert "judged" == steps.infer(plant.process().ctx, batch)
    assert token == sqlite_site.ledger.batch(batch).token


def test_what_is_not_judged_is_not_delivered_and_keeps_its_last_error(sqlite_site: Site) -> None:
    plant = Plant(sqlite_site, partitions=1)
    plant.produce(3)
    [batch] = steps.plan(plant.process().ctx).batch_ids
    says = "not judged yet.*The next run's infer judges it"
    with pytest.raises(PredictionsIncomplete, match=says):
        steps.deliver(plant.process().ctx, batch)
    plant.judge.distort = lambda _, rows: rows[1:]
    steps.infer(plant.process().ctx, batch)
    with pytest.raises(PredictionsIncomplete, match="no row for this record"):
        steps.deliver(plant.process().ctx, batch)
    plant.pass_time()
    with pytest.raises(PredictionsIncomplete, match=says):
        steps.deliver(plant.process().ctx, batch)
    [leaf] = sqlite_site.ledger.pipeline_state(plant.pipeline).open_batches
    assert "no row for this record" in leaf.last_error
    plant.judge.distort = None
    plant.finish()
    assert [] == plant.open_batches()
