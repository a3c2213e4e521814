"""Quotas of Kafka's: slow, but through; bounds that follow from what was asked; in words."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from fixtures.by_hand import one_batch
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.judging import MODEL, large, make_job
from fixtures.kafka import KafkaServer
from fixtures.kafka_quotas import Entity
from fixtures.poison import forget_backoff
from fixtures.polling import poll

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Judged
from frameferry.errors import KafkaThrottled, KafkaUnavailable, OffsetsLost
from frameferry.kafka.cluster import Cluster
from frameferry.kafka.reader import RangeReader
from frameferry.kafka.throttling import Throttling
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_batch, run_until_caught_up
from frameferry.spark.crossing import WorkerError, crossed
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import judged
from frameferry.spark.shares import shares
from frameferry.spark.worker import judge_batches

pytestmark = pytest.mark.timeout(300)

EVERY_USER = ("user", None)


@pytest.fixture(scope="module")
def topic(kafka_server: KafkaServer) -> str:
    made = kafka_server.create_topic()
    kafka_server.produce(made, [large(seed) for seed in range(8)])
    return made


def reading(server: KafkaServer, client_id: str, topic: str, end: int, **how: Any) -> RangeReader:
    place = server.named(client_id), topic, OffsetRange(0, 0, end)
    return RangeReader(*place, filename_header="filename", stall_seconds=1.5, **how)


def carry(ctx: Context) -> None:
    """Run as the scheduler does, until nothing is open and nothing lags."""
    for _ in range(20):
        forget_backoff(ctx)
        planned = steps.plan(ctx).batch_ids
        if not planned:
            return
        for batch_id in planned:
            run_batch(ctx, batch_id)
    pytest.fail("still open after 20 rounds")


@pytest.mark.parametrize(
    ("whom", "quota"),
    [
        (("client-id", "slow-1"), {"consumer_byte_rate": 300_000}),
        (EVERY_USER, {"consumer_byte_rate": 300_000}),
    ],
    ids=["client", "every user"],
)
def test_a_quota_makes_it_slow_and_not_fail_however_short_the_patience(
    kafka_server: KafkaServer, topic: str, whom: Entity, quota: dict[str, float]
) -> None:
    with kafka_server.limited(whom, **quota):
        slow = reading(kafka_server, whom[1] or "anybody", topic, 5)
        assert list(range(5)) == [record.offset for record in slow]
        assert slow.throttling.seconds > 1.5


def test_a_quota_of_requests_makes_it_slow_and_not_fail(
    kafka_server: KafkaServer, topic: str
) -> None:
    with kafka_server.limited_client("requests", request_percentage=0.3):

        def is_held_back() -> float:
            slow = reading(kafka_server, "requests", topic, 2)
            assert [0, 1] == [record.offset for record in slow]
            return slow.throttling.seconds

        poll(is_held_back, "the quota", seconds=90)


def test_a_question_whose_answers_a_quota_holds_back_one_by_one_is_no_silence(
    kafka_server: KafkaServer,
) -> None:
    """A question takes several answers; together they are late by more than the patience."""
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [b"lost", b"kept"])
    kafka_server.delete_records(topic, {0: 1})
    with kafka_server.limited_client("one-by-one", request_percentage=0.01):

        def is_held_back_several_times() -> bool:
            slow = reading(kafka_server, "one-by-one", topic, 1)
            with pytest.raises(OffsetsLost):
                list(slow)
            return slow.throttling.pauses > 2

        poll(is_held_back_several_times, "the quota", seconds=90)
        impatient = reading(kafka_server, "one-by-one", topic, 1, throttling=Throttling(1))
        with pytest.raises(KafkaThrottled, match="quota held back"):
            list(impatient)


def test_a_reader_with_a_deadline_gives_up_before_it_and_names_the_quota(
    kafka_server: KafkaServer, topic: str
) -> None:
    with kafka_server.limited_client("late", consumer_byte_rate=100_000):
        began = time.monotonic()
        with pytest.raises(KafkaThrottled) as caught:
            list(reading(kafka_server, "late", topic, 8, throttling=Throttling(3)))
        assert 3 <= time.monotonic() - began < 6
    words = str(caught.value)
    assert "Kafka's quota held back" in words
    assert "ask for a higher quota" in words
    assert caught.value.where.topic == topic
    # Without a quota patience is never over.
    assert 8 == len(list(reading(kafka_server, "free", topic, 8, throttling=Throttling(0))))


def in_this_process(job: JudgeJob, _: Any, *, deadline_seconds: float) -> Judged:
    """Judge as a worker does, with a tenth of the time."""
    asked = replace(job, asked_at=time.time(), deadline_seconds=deadline_seconds / 10)
    ids = pa.RecordBatch.from_pydict({"id": [0]})
    try:
        parts = shares(job.ranges, cores=1, seconds_per_offset=None)[:1]
        assert sum(r.length for r in parts[0]) == sum(r.length for r in job.ranges)
        table = pa.Table.from_batches(list(judge_batches(asked, parts)([ids])))
    except WorkerError as error:
        ours = crossed(str(error))
        assert ours is not None
        raise ours from None
    return judged(table, expected=None)


@pytest.fixture
def slow_ferry(tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any) -> FerryBench:
    made = bench(tmp_path, topic=kafka_server.create_topic(), kafka=kafka_server, ftp=ftp_server)
    made.connections["plant_kafka"]["extra"]["client.id"] = "slow-ferry"
    return made


@pytest.fixture
def slow_ctx(slow_ferry: FerryBench, kafka_server: KafkaServer, topic: str) -> Iterator[Context]:
    slow_ferry.content["model"] = {"path": str(MODEL)}
    slow_ferry.content["spark"] = {"startup_seconds": 15}
    warm = make_job(kafka_server, topic, OffsetRange(0, 0, 1))
    in_this_process(warm, None, deadline_seconds=1000)
    with slow_ferry.context() as opened:
        yield replace(opened, judge=in_this_process)


def test_what_a_quota_lets_through_too_slowly_is_cut_smaller_and_one_picture_has_more_time(
    slow_ctx: Context, slow_ferry: FerryBench, kafka_server: KafkaServer, ftp_server: Any
) -> None:
    """Nothing is charged, nothing quarantined: not a picture is at fault."""
    sent = [large(seed) for seed in range(4)]
    kafka_server.produce(slow_ctx.settings.kafka.topic, sent)
    one_batch(slow_ctx, OffsetRange(0, 0, 4))
    with kafka_server.limited_client("slow-ferry", consumer_byte_rate=300_000):
        carry(slow_ctx)
    told = status(slow_ctx)
    assert (4, 0, 4) == (told.counts.delivered, told.counts.quarantined, told.counts.records)
    base = slow_ferry.content["deliver"]["base"]
    assert sorted(sent) == sorted(delivered_files(ftp_server, base).values())
    pieces = slow_ctx.ledger.last_batches(slow_ctx.pipeline, 100)
    assert [1] * 4 == [piece.record_count for piece in pieces]
    troubles = [slow_ctx.ledger.batch(piece.id).trouble for piece in pieces]
    assert {(0, 0)} == {(trouble.failures, trouble.charges) for trouble in troubles}


def test_without_judging_it_takes_its_time_and_status_says_why(
    slow_ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    topic = slow_ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [large(seed) for seed in range(5)])
    with (
        slow_ferry.context() as ctx,
        kafka_server.limited_client("slow-ferry", consumer_byte_rate=200_000),
    ):
        run_until_caught_up(ctx)
        told = status(ctx)
        assert (5, 0) == (told.counts.delivered, told.counts.quarantined)
        [said] = [line for line in told.advice if "held back its reading" in line]
        assert said.startswith("Batch ")
        assert "ask for a higher quota" in said
        # What waits now is asked for by the same client: status meets the quota itself.
        kafka_server.produce(topic, [large(9)] * 4)
        lines = [line for _ in range(5) for line in status(ctx).advice]
        assert any("Kafka's quota held back answers" in line for line in lines), lines


def test_a_question_that_a_quota_outlasts_names_it_and_not_a_broker_that_is_down(
    kafka_server: KafkaServer, topic: str
) -> None:
    with kafka_server.limited_client("asker", request_percentage=0.01):
        cluster = Cluster(kafka_server.named("asker"), timeout_seconds=4)
        with closing(cluster), pytest.raises(KafkaUnavailable) as caught:
            deque(iter(partial(cluster.view, topic, None), None), maxlen=0)
    assert "Its quota held answers back" in str(caught.value)
    assert "Start the broker" not in str(caught.value)
