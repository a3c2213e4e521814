"""What one run takes on, and what becomes of the next one."""

from __future__ import annotations

import pytest
from fixtures.plant import Plant, Site

from frameferry.domain.offsets import OffsetRange
from frameferry.pipeline import steps, world

pytestmark = pytest.mark.usefixtures("quick_retries")


def one_batch(plant: Plant, end: int) -> int:
    """Plan one batch over the log's beginning, whatever the controller would have made of it."""
    world.look(plant.process().ctx)
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
