"""Server or base change while a batch is open: nothing is looked for where it never was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files

from frameferry.domain.batch import Trouble
from frameferry.domain.records import Consignment, Receipt
from frameferry.errors import ConfigError, DeliveryRefused, PipelineBlocked
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.unblock import unblock
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_until_caught_up

VALUES = [f"picture {number}".encode() for number in range(5)]
ALL = selected(partition=0, start=0, end=5)


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    kafka_server.produce(topic, VALUES)
    return made


def move_server(ferry: FerryBench) -> None:
    ferry.connections["archive_ftp"]["host"] = "localhost"


def move_base(ferry: FerryBench) -> None:
    ferry.content["deliver"]["base"] += "-elsewhere"


@pytest.mark.parametrize("move", [move_server, move_base])
def test_an_open_batch_waits_until_its_place_is_back(
    ferry: FerryBench, ftp_server: Any, move: Any
) -> None:
    base = ferry.content["deliver"]["base"]
    before = dict(ferry.connections["archive_ftp"])
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch)
    move(ferry)
    with ferry.context() as ctx:
        with pytest.raises(DeliveryRefused, match=r"now delivers to .*judge-again"):
            steps.deliver(ctx, batch)
        with pytest.raises(PipelineBlocked):
            steps.deliver(ctx, batch)
        assert [] == [row for row in ctx.ledger.records(ctx.pipeline) if row.delivered_at]
        assert [] == ctx.ledger.quarantined(ctx.pipeline)
    ferry.content["deliver"]["base"] = base
    ferry.connections["archive_ftp"] = before
    with ferry.context() as ctx:
        if move is move_base:
            unblock(ctx, who="a person")
        # With the old connection back the block is lifted by itself.
        run_until_caught_up(ctx)
    assert sorted(VALUES) == sorted(delivered_files(ftp_server, base).values())


@pytest.mark.parametrize("move", [move_server, move_base])
def test_what_was_tried_nowhere_yet_moves_by_itself(
    ferry: FerryBench, ftp_server: Any, move: Any
) -> None:
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch)
    move(ferry)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        base = ctx.settings.deliver.base
        assert {0: 5} == ctx.ledger.committed_offsets(ctx.pipeline)
        assert ctx.ledger.batch(batch).trouble == Trouble()
    assert sorted(VALUES) == sorted(delivered_files(ftp_server, base).values())


def dies_renaming(ctx: Context, batch: int) -> Consignment:
    """Leave one record with its receipt and one with an open intent; return the first."""
    token = ctx.ledger.claim(batch, owner="dies", lease_seconds=60).token
    first, second, *_ = ctx.ledger.consignments(token)
    parts = [(first.record_id, "/a/part-1"), (second.record_id, "/a/part-2")]
    ctx.ledger.record_intents(token, parts)
    ctx.ledger.record_receipts(token, [Receipt(first.record_id, "size")])
    ctx.ledger.release(token)
    return first


def test_what_may_be_renamed_already_does_not_move(ferry: FerryBench) -> None:
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch)
        dies_renaming(ctx, batch)
        judged_at = ctx.ledger.batch(batch).inferred_at
    move_base(ferry)
    with ferry.context() as ctx:
        assert "judged" == steps.infer(ctx, batch)
        assert judged_at == ctx.ledger.batch(batch).inferred_at
        with pytest.raises(DeliveryRefused, match=r"now delivers to .*judge-again"):
            steps.deliver(ctx, batch)


@pytest.mark.parametrize("move", [move_server, move_base])
def test_what_may_be_renamed_at_a_place_that_is_given_up_goes_to_the_new_one(
    ferry: FerryBench, ftp_server: Any, move: Any
) -> None:
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch)
        first = dies_renaming(ctx, batch)
    move(ferry)
    with ferry.context() as ctx:
        with pytest.raises(DeliveryRefused, match=r"now delivers to .*judge-again"):
            steps.deliver(ctx, batch)
        unblock(ctx, who="a person", judge_again=True)
        run_until_caught_up(ctx)
        assert {0: 5} == ctx.ledger.committed_offsets(ctx.pipeline)
        base = ctx.settings.deliver.base
    # What has its receipt is where it was said to be.
    there = [value for value in VALUES if value != VALUES[first.offset]]
    assert sorted(there) == sorted(delivered_files(ftp_server, base).values())


def test_a_replay_stays_what_a_person_was_shown(ferry: FerryBench) -> None:
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        asked = {"selection": ALL, "mode": "redeliver", "who": "tests"}
        [batch] = plan_replay(ctx, dry_run=False, **asked).batch_ids
        judged_at = ctx.ledger.batch(batch).inferred_at
    move_base(ferry)
    with ferry.context() as ctx:
        assert "judged" == steps.infer(ctx, batch)
        assert judged_at == ctx.ledger.batch(batch).inferred_at


@pytest.mark.parametrize("move", [move_server, move_base])
def test_a_replay_of_what_lies_elsewhere_is_refused_before_it_begins(
    ferry: FerryBench, ftp_server: Any, move: Any
) -> None:
    asked = {"selection": ALL, "who": "tests"}
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    move(ferry)
    with ferry.context() as ctx:
        for dry_run in (True, False):
            with pytest.raises(ConfigError, match=r"now delivers to .*--mode reinfer"):
                plan_replay(ctx, mode="redeliver", dry_run=dry_run, **asked)
        assert () == ctx.ledger.pipeline_state(ctx.pipeline).open_batches
        for batch in plan_replay(ctx, mode="reinfer", dry_run=False, **asked).batch_ids:
            run_batch(ctx, batch)
        base = ctx.settings.deliver.base
        # What was judged for the new place stands there, and may be sent there again.
        assert 5 == plan_replay(ctx, mode="redeliver", dry_run=True, **asked).records
    assert sorted(VALUES) == sorted(delivered_files(ftp_server, base).values())


@pytest.mark.parametrize("move", [move_server, move_base])
def test_a_replay_that_is_open_when_its_place_changes_holds_up_nothing_else(
    ferry: FerryBench, kafka_server: Any, ftp_server: Any, move: Any
) -> None:
    base, before = ferry.content["deliver"]["base"], dict(ferry.connections["archive_ftp"])
    asked = {"selection": ALL, "mode": "redeliver", "who": "tests"}
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        [replay] = plan_replay(ctx, dry_run=False, **asked).batch_ids
    move(ferry)
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"one more"])
    with ferry.context() as ctx:
        with pytest.raises(ConfigError, match=f"batch {replay}: .*now delivers to .*Put .* back"):
            run_batch(ctx, replay)
        assert ctx.ledger.blocked(ctx.pipeline) is None
        with pytest.raises(ConfigError, match=f"batch {replay}: .*now delivers to .*Put .* back"):
            plan_replay(ctx, dry_run=True, **asked)
        run_until_caught_up(ctx)
        assert {0: 6} == ctx.ledger.committed_offsets(ctx.pipeline)
    ferry.content["deliver"]["base"] = base
    ferry.connections["archive_ftp"] = before
    with ferry.context() as ctx:
        assert (replay,) == plan_replay(ctx, dry_run=False, **asked).batch_ids
        run_batch(ctx, replay)
        assert () == ctx.ledger.pipeline_state(ctx.pipeline).open_batches


def test_a_batch_may_be_judged_for_the_new_place(ferry: FerryBench, ftp_server: Any) -> None:
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch)
    move_base(ferry)
    with ferry.context() as ctx:
        with pytest.raises(DeliveryRefused):
            steps.deliver(ctx, batch)
        unblock(ctx, who="a person", judge_again=True)
        run_until_caught_up(ctx)
        base = ctx.settings.deliver.base
        assert {0: 5} == ctx.ledger.committed_offsets(ctx.pipeline)
    assert sorted(VALUES) == sorted(delivered_files(ftp_server, base).values())
