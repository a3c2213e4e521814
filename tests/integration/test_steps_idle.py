"""What holds a backlog is no work: `wait` says so, with the reason and when to ask again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import KafkaServer

from frameferry.errors import PipelineBlocked
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_once, run_until_caught_up

HOUR = 3600.0


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server) -> FerryBench:
    topic = kafka_server.create_topic()
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    ferry.content["batch"] = {"max_open": 1, "max_records": 5}
    return ferry


def send(ctx: Context, kafka_server: KafkaServer, number: int) -> None:
    kafka_server.produce(ctx.settings.kafka.topic, [b"%d" % n for n in range(number)])


def nothing_left(ctx: Context, kafka_server: KafkaServer) -> None:
    send(ctx, kafka_server, 3)
    run_once(ctx)


def back_off(ctx: Context, kafka_server: KafkaServer) -> None:
    send(ctx, kafka_server, 12)
    (batch,) = steps.plan(ctx).batch_ids
    token = ctx.ledger.claim(batch, owner="me", lease_seconds=1).token
    ctx.ledger.record_failure(token, error="Kafka is down", retry_after_seconds=HOUR)
    ctx.ledger.release(token)


def leave_to_another(ctx: Context, kafka_server: KafkaServer) -> None:
    send(ctx, kafka_server, 12)
    (batch,) = steps.plan(ctx).batch_ids
    ctx.ledger.claim(batch, owner="another process", lease_seconds=HOUR)


def wait_for_a_gap(ctx: Context, kafka_server: KafkaServer) -> None:
    steps.plan(ctx)
    send(ctx, kafka_server, 5)
    kafka_server.delete_records(ctx.settings.kafka.topic, {0: 3})
    assert 1 == run_once(ctx)
    assert {0: 0} == ctx.ledger.committed_offsets(ctx.pipeline)


@pytest.mark.parametrize(
    ("bring", "reason", "asks_again"),
    [
        (nothing_left, "no lag", False),
        (back_off, "lag 7, but 1 open batch held back (max_open 1); batch 1 backs off", True),
        (leave_to_another, "held back (max_open 1); batch 1 is leased for", True),
        (wait_for_a_gap, "all is planned; batch 1 is finished and waits for a gap", False),
    ],
)
def test_what_holds_a_backlog_is_no_work_however_often_one_asks(
    ferry: FerryBench,
    kafka_server: KafkaServer,
    bring: Callable[[Context, KafkaServer], None],
    reason: str,
    asks_again: bool,
) -> None:
    with ferry.context() as ctx:
        bring(ctx, kafka_server)
        for _ in range(3):
            answer = steps.wait(ctx)
            assert not answer.now
            assert reason in answer.reason
            assert asks_again == (answer.retry_in_seconds is not None)
            assert () == steps.plan(ctx).batch_ids


@pytest.mark.parametrize(
    ("bring", "status", "says"),
    [
        (nothing_left, 0, "0 batches carried (no lag)"),
        (back_off, 1, "NOT caught up: 0 batches carried (lag 7, but 1 open batch held back"),
        (leave_to_another, 1, "is leased for"),
        (wait_for_a_gap, 1, "waits for a gap"),
    ],
)
def test_a_command_that_should_catch_up_tells_by_its_status_whether_it_did(
    ferry: FerryBench,
    kafka_server: KafkaServer,
    bring: Callable[[Context, KafkaServer], None],
    status: int,
    says: str,
) -> None:
    with ferry.context() as ctx:
        bring(ctx, kafka_server)
    done = ferry.run("run", ferry.name, "--until-caught-up")
    assert status == done.returncode, done.stderr
    assert says in done.stdout
    assert (status == 0) == ("no lag" in done.stdout)


def test_a_block_holds_everything_until_a_person_frees_it(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    with ferry.context() as ctx:
        steps.plan(ctx)
        send(ctx, kafka_server, 5)
        ctx.ledger.block(ctx.pipeline, reason="wrong password", digest=None)
        for _ in range(3):
            answer = steps.wait(ctx)
            assert (answer.now, answer.retry_in_seconds) == (False, None)
            assert "blocked: wrong password" == answer.reason
            with pytest.raises(PipelineBlocked, match="wrong password"):
                steps.plan(ctx)
        ctx.ledger.unblock(ctx.pipeline, who="anna")
        assert steps.wait(ctx).now


def test_a_hold_that_is_over_is_work_again(ferry: FerryBench, kafka_server: KafkaServer) -> None:
    with ferry.context() as ctx:
        back_off(ctx, kafka_server)
        assert HOUR - 60 < (steps.wait(ctx).retry_in_seconds or 0) <= HOUR
        token = ctx.ledger.claim(1, owner="me", lease_seconds=1).token
        ctx.ledger.record_failure(token, error="again", retry_after_seconds=0)
        ctx.ledger.release(token)
        assert steps.wait(ctx).now
        run_until_caught_up(ctx)
        assert {0: 12} == ctx.ledger.committed_offsets(ctx.pipeline)


def test_a_gap_that_is_accepted_lets_the_finished_batch_be_committed(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    with ferry.context() as ctx:
        wait_for_a_gap(ctx, kafka_server)
        (gap,) = ctx.ledger.gaps(ctx.pipeline)
        ctx.ledger.accept_gap(gap.id, who="anna", reason="the camera was tested")
        assert {0: 5} == ctx.ledger.committed_offsets(ctx.pipeline)
        assert "no lag" == steps.wait(ctx).reason
