"""A batch that cannot be judged is split until the guilty image stands alone, with proof."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fixtures.by_hand import one_batch
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL
from fixtures.poison import Judge, dies, forget_backoff
from sqlalchemy import select

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import (
    ControlFailed,
    FrameferryError,
    JudgingFailed,
    JudgingTimedOut,
    KafkaUnavailable,
    ModelMismatch,
    PipelineBlocked,
    SparkReserved,
    SparkUnavailable,
)
from frameferry.ledger.database.tables import batch
from frameferry.operations.replay import plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.status import status
from frameferry.operations.unblock import unblock
from frameferry.pipeline import family, steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch
from frameferry.pipeline.world import world


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic(partitions=2)
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    made.content["model"] = {"path": str(MODEL)}
    return made


@pytest.fixture
def judge(kafka_server: Any) -> Judge:
    return Judge(kafka_server.connection, {b"poison": dies})


@pytest.fixture
def ctx(ferry: FerryBench, judge: Judge) -> Iterator[Context]:
    with ferry.context() as opened:
        yield replace(
            opened, judge=judge.judge, control=judge.control, company_patience_seconds=0.2
        )


def images(count: int, *, poison: tuple[int, ...] = ()) -> list[bytes]:
    return [(b"poison %d" if n in poison else b"picture %d") % n for n in range(count)]


def carry(ctx: Context, rounds: int = 100) -> list[FrameferryError]:
    """Run as the scheduler does, whatever fails, until nothing is open and nothing lags."""
    met: list[FrameferryError] = []
    for _ in range(rounds):
        forget_backoff(ctx)
        planned = steps.plan(ctx).batch_ids
        if not planned:
            return met
        for batch_id in planned:
            try:
                run_batch(ctx, batch_id)
            except FrameferryError as error:
                met.append(error)
    pytest.fail(f"still open after {rounds} rounds: {met[-3:]}")


def contents(ferry: FerryBench, ftp_server: Any) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


def tree_of(ctx: Context) -> dict[int, int]:
    """The level of every batch that a split made."""
    levels: dict[int, int] = {}
    with ctx.ledger._transactions.read() as connection:
        rows = connection.execute(select(batch.c.id, batch.c.parent_id).order_by(batch.c.id))
        for batch_id, parent_id in rows:
            if parent_id is not None:
                levels[batch_id] = levels.get(parent_id, 0) + 1
    return levels


def charges(ctx: Context) -> dict[int, int]:
    with ctx.ledger._transactions.read() as connection:
        return dict(connection.execute(select(batch.c.id, batch.c.charges)).all())


def test_one_in_two_thousand_needs_eleven_levels_and_nobodys_help(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any, ftp_server: Any
) -> None:
    sent = images(2000, poison=(1234,))
    kafka_server.produce(ctx.settings.kafka.topic, sent)
    one_batch(ctx, OffsetRange(0, 0, 2000))
    carry(ctx)
    assert sorted(set(sent) - {b"poison 1234"}) == contents(ferry, ftp_server)
    assert {0: 2000, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)
    [row] = ctx.ledger.quarantined(ctx.pipeline)
    assert (0, 1234, "infer", "cannot be judged") == (
        row.partition,
        row.offset,
        row.stage,
        row.reason,
    )
    assert "died" in row.detail
    tree = tree_of(ctx)
    assert 22 == len(tree)
    assert 11 == max(tree.values())
    # The root fails twice, each level once, the image alone twice.
    assert 2 + 10 + 2 == judge.failed
    assert len(judge.controls) >= 1 + 10 + 3


def test_a_failure_or_two_that_pass_split_nothing(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any, ftp_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(8))
    judge.fail_next = 1
    [failure] = carry(ctx)
    assert isinstance(failure, JudgingFailed)
    assert {} == tree_of(ctx)
    assert 8 == len(contents(ferry, ftp_server))


@pytest.mark.parametrize(
    "trouble",
    [
        ControlFailed("it says scratch of a good one"),
        ModelMismatch("the model takes another shape"),
        SparkUnavailable("nothing answers"),
        JudgingFailed("No module named 'tensorflow'"),
    ],
)
def test_where_the_control_fails_nothing_is_charged(
    ferry: FerryBench,
    ctx: Context,
    judge: Judge,
    kafka_server: Any,
    ftp_server: Any,
    trouble: FrameferryError,
) -> None:
    """A bad deployment fails for every batch: all wait, and say why."""
    kafka_server.produce(ctx.settings.kafka.topic, images(8, poison=(3,)))
    [only] = steps.plan(ctx).batch_ids

    def control_fails() -> None:
        raise trouble

    judge.control_fails = control_fails
    for _ in range(6):
        with pytest.raises(FrameferryError):
            steps.infer(ctx, only)
    assert {} == tree_of(ctx)
    assert {only: 0} == charges(ctx)
    assert [] == ctx.ledger.quarantined(ctx.pipeline)
    told = status(ctx)
    assert any(trouble.what in line for line in told.advice), told.advice
    judge.control_fails = lambda: None
    carry(ctx)
    assert 7 == len(contents(ferry, ftp_server))


def test_a_record_is_convicted_only_by_two_proofs(
    ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, [b"poison"])
    [only] = steps.plan(ctx).batch_ids
    for _ in range(ctx.settings.batch.failures_before_split - 1):
        with pytest.raises(JudgingFailed):
            steps.infer(ctx, only)
    assert [] == judge.controls
    assert "judged" == steps.infer(ctx, only)
    events = judge.events
    assert ["judge", "judge", "control", "judge", "control", "judge", "control"] == events
    [row] = ctx.ledger.quarantined(ctx.pipeline)
    assert "cannot be judged" == row.reason


def test_a_control_that_fails_after_the_proof_keeps_the_record_from_quarantine(
    ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, [b"poison"])
    [only] = steps.plan(ctx).batch_ids
    with pytest.raises(JudgingFailed):
        steps.infer(ctx, only)

    def dies_at_the_third() -> None:
        if len(judge.controls) == 3:
            msg = "nothing answers"
            raise SparkUnavailable(msg)

    judge.control_fails = dies_at_the_third
    with pytest.raises(SparkUnavailable):
        steps.infer(ctx, only)
    assert [] == ctx.ledger.quarantined(ctx.pipeline)
    judge.poison.clear()
    # Nobody is convicted for a world that has mended: the control passes, and so may the image.
    steps.infer(ctx, only)
    assert 4 == len(judge.controls)


def test_a_kafka_that_is_silent_is_no_failure_of_the_batch(
    ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(4, poison=(1,)))
    [only] = steps.plan(ctx).batch_ids

    def no_broker(*args: Any, **options: Any) -> Any:
        msg = "Kafka gave no answer"
        raise KafkaUnavailable(msg)

    silent_after = replace(ctx, open_cluster=after(1, ctx.open_cluster, no_broker))
    for _ in range(4):
        with pytest.raises(KafkaUnavailable):
            steps.infer(
                replace(silent_after, open_cluster=after(1, ctx.open_cluster, no_broker)), only
            )
    assert 0 == ctx.ledger.batch(only).trouble.failures


def after(count: int, real: Any, then: Any) -> Any:
    calls = iter(range(count))

    def each(*args: Any, **options: Any) -> Any:
        return (then if next(calls, None) is None else real)(*args, **options)

    return each


def test_a_batch_past_its_deadline_is_split_without_waiting_for_it_again(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any, ftp_server: Any
) -> None:
    def never_returns() -> None:
        msg = "judging passed its deadline of 240 s"
        raise JudgingTimedOut(msg)

    judge.poison = {b"poison": never_returns}
    kafka_server.produce(ctx.settings.kafka.topic, images(8, poison=(5,)))
    carry(ctx)
    assert 7 == len(contents(ferry, ftp_server))
    assert 3 == max(tree_of(ctx).values())
    # Once a level, and twice alone.
    assert 3 + 2 == judge.failed


def test_a_batch_with_too_many_bytes_is_split_where_it_passes_them_and_not_charged(
    ferry: FerryBench, kafka_server: Any, ftp_server: Any
) -> None:
    ferry.content["model"] = "none"
    ferry.content["batch"] = {"max_bytes": 1000}
    sent = [b"%d" % n * 150 for n in range(10, 34)] + [b"x" * 5000, b"y"]
    kafka_server.produce(ferry.content["kafka"]["topic"], sent)
    with ferry.context() as ctx:
        one_batch(ctx, OffsetRange(0, 0, len(sent)))
        assert [] == carry(ctx)
        assert sorted(sent) == contents(ferry, ftp_server)
        assert {0} == set(charges(ctx).values())
        sizes = [row.byte_count for row in ctx.ledger.last_batches(ctx.pipeline, 100)]
    assert all(size <= 1000 or size == 5000 for size in sizes)


def test_innocent_batches_beside_a_poisonous_one_are_not_charged(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    """What crashed while others were at work is judged alone before it counts."""
    kafka_server.produce(ctx.settings.kafka.topic, images(16, poison=(3,)))
    world.observe(ctx)
    guilty = one_batch(ctx, OffsetRange(0, 0, 8))
    innocent = one_batch(ctx, OffsetRange(0, 8, 16))
    neighbour = ctx.ledger.claim(innocent, owner="another task", lease_seconds=30)
    server = ctx.spark.url
    assert ctx.ledger.begin_judging(
        neighbour.token, server=server, is_alone=False, lease_seconds=30
    )
    for _ in range(4):
        with pytest.raises((JudgingFailed, SparkReserved)):
            steps.infer(ctx, guilty)
    assert 1 == judge.failed
    assert ctx.ledger.batch(guilty).trouble.is_suspect
    assert 0 == ctx.ledger.batch(guilty).trouble.failures
    # Nobody else begins while a suspect waits to be alone; then the neighbour's job ends.
    assert ctx.ledger.end_judging(neighbour.token)
    assert not ctx.ledger.begin_judging(
        neighbour.token, server=server, is_alone=False, lease_seconds=30
    )
    ctx.ledger.release(neighbour.token)
    carry(ctx)
    assert 0 == charges(ctx)[innocent]
    assert [3] == [row.offset for row in ctx.ledger.quarantined(ctx.pipeline)]


@pytest.mark.parametrize("case", [(8, 6), (1, 0)])
def test_a_judge_that_never_returns_a_records_row_is_found_out(
    ferry: FerryBench,
    ctx: Context,
    judge: Judge,
    kafka_server: Any,
    ftp_server: Any,
    case: tuple[int, int],
) -> None:
    count, which = case
    kafka_server.produce(ctx.settings.kafka.topic, images(count, poison=(which,)))
    judge.poison = {}
    judge.forgets = b"poison"
    carry(ctx)
    assert count - 1 == len(contents(ferry, ftp_server))
    assert [which] == [row.offset for row in ctx.ledger.quarantined(ctx.pipeline)]
    # A control before each of the two proofs, and one before the verdict.
    assert 3 <= len(judge.controls)


def test_unjudged_images_may_be_delivered_all_the_same(
    ferry: FerryBench, judge: Judge, kafka_server: Any, ftp_server: Any
) -> None:
    ferry.content["model"] = {"path": str(MODEL), "unjudged": "deliver"}
    kafka_server.produce(ferry.content["kafka"]["topic"], images(4, poison=(2,)))
    with ferry.context() as opened:
        ctx = replace(opened, judge=judge.judge, control=judge.control)
        carry(ctx)
        [row] = ctx.ledger.records(ctx.pipeline, offset=2)
    assert 4 == len(contents(ferry, ftp_server))
    assert "unjudged" == row.label


def test_a_judge_that_finds_nothing_but_bad_images_stops_the_pipeline(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any, ftp_server: Any
) -> None:
    """More than 20 and more than 5 %: the world, not the images. A person decides."""
    kafka_server.produce(ctx.settings.kafka.topic, images(40))
    judge.undecodable = True
    only = one_batch(ctx, OffsetRange(0, 0, 40))
    with pytest.raises(PipelineBlocked, match="40 of 40 images of batch"):
        run_batch(ctx, only)
    with pytest.raises(PipelineBlocked):
        steps.plan(ctx)
    assert not steps.wait(ctx).now
    judge.undecodable = False
    unblock(ctx, who="a person", judge_again=True)
    carry(ctx)
    assert 40 == len(contents(ferry, ftp_server))
    assert [] == ctx.ledger.quarantined(ctx.pipeline)


def test_a_person_may_take_the_bad_images_for_bad(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(40))
    judge.undecodable = True
    only = one_batch(ctx, OffsetRange(0, 0, 40))
    with pytest.raises(PipelineBlocked):
        run_batch(ctx, only)
    unblock(ctx, who="a person", judge_again=False)
    carry(ctx)
    assert 40 == len(ctx.ledger.quarantined(ctx.pipeline))
    assert {0: 40, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)


def test_bad_images_one_by_one_stop_it_too_within_an_hour(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(6))
    judge.undecodable = True
    small = replace(
        ctx,
        settings=ctx.settings.model_copy(
            update={"batch": ctx.settings.batch.model_copy(update={"max_quarantine": 3})}
        ),
    )
    each = [one_batch(small, OffsetRange(0, offset, offset + 1)) for offset in range(6)]
    for batch_id in each[:3]:
        run_batch(small, batch_id)
    with pytest.raises(PipelineBlocked, match="4 of 4 images of the last hour"):
        run_batch(small, each[3])


def test_a_replay_that_is_split_is_carried_with_its_pieces(
    ferry: FerryBench, ctx: Context, judge: Judge, kafka_server: Any, ftp_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(8))
    carry(ctx)
    before = {row.offset: row.label for row in ctx.ledger.records(ctx.pipeline)}
    judge.poison = {b"picture 5": dies}
    span = selected(partition=0, start=0, end=8)
    plan = plan_replay(ctx, span, mode="reinfer", dry_run=False, who="a person")
    for batch_id in plan.batch_ids:
        with pytest.raises(JudgingFailed):
            family.carry(ctx, batch_id)
        family.carry(ctx, batch_id)
    after = {row.offset: row.label for row in ctx.ledger.records(ctx.pipeline)}
    # What was delivered goes on standing where a replay could not judge it.
    assert before[5] == after[5]
    assert all(before[offset] != after[offset] for offset in set(before) - {5})
    assert {0: 8, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)
    assert 8 == len(contents(ferry, ftp_server))


def test_pieces_go_on_in_the_task_that_split_their_batch(
    ferry: FerryBench, ctx: Context, kafka_server: Any, ftp_server: Any
) -> None:
    """As a task does it: once failed and once tried again, whatever the number of levels."""
    sent = images(64, poison=(37,))
    kafka_server.produce(ctx.settings.kafka.topic, sent)
    batch_id = one_batch(ctx, OffsetRange(0, 0, 64))
    with pytest.raises(JudgingFailed):
        family.infer(ctx, batch_id)
    family.infer(ctx, batch_id)
    family.deliver(ctx, batch_id)
    family.commit(ctx, batch_id)
    assert sorted(set(sent) - {b"poison 37"}) == contents(ferry, ftp_server)
    assert {0: 64, 1: 0} == ctx.ledger.committed_offsets(ctx.pipeline)
    assert () == world.state(ctx).open_batches


def test_a_piece_that_fails_keeps_no_other_from_being_judged_and_delivered(
    ctx: Context, judge: Judge, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(8))
    batch_id = one_batch(ctx, OffsetRange(0, 0, 8))
    claimed = ctx.ledger.claim(batch_id, owner="a test", lease_seconds=30)
    pieces = [[OffsetRange(0, start, start + 2)] for start in (0, 2, 4, 6)]
    ctx.ledger.split_batch(claimed.token, pieces=pieces, is_charged=False, why="a test's")
    judge.poison = {b"picture 0": dies}
    with pytest.raises(JudgingFailed):
        family.infer(ctx, batch_id)
    family.deliver(ctx, batch_id)
    family.commit(ctx, batch_id)
    [first, *_] = world.state(ctx).open_batches
    assert (OffsetRange(0, 0, 2),) == first.ranges
    assert not first.inferred
    assert 6 == status(ctx).counts.delivered


def test_a_family_of_a_world_that_is_down_is_given_up_at_once(
    ctx: Context, kafka_server: Any
) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, images(4))
    batch_id = one_batch(ctx, OffsetRange(0, 0, 4))
    asked: list[int] = []

    def down(*_: Any, **__: Any) -> Any:
        asked.append(1)
        msg = "no Spark answers"
        raise SparkUnavailable(msg)

    claimed = ctx.ledger.claim(batch_id, owner="a test", lease_seconds=30)
    pieces = [[OffsetRange(0, 0, 2)], [OffsetRange(0, 2, 4)]]
    ctx.ledger.split_batch(claimed.token, pieces=pieces, is_charged=False, why="a test's")
    with pytest.raises(SparkUnavailable):
        family.infer(replace(ctx, judge=down), batch_id)
    assert [1] == asked
