"""What `status` says of a backlog: its age, its pace, what holds it back, what nobody carries."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import KafkaServer
from fixtures.polling import poll

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction, Prediction, sha256_hex
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_until_caught_up

HOUR_MS = 3_600_000


def ferry_of(tmp_path, kafka_server: KafkaServer, ftp_server, **topic: Any) -> FerryBench:
    name = kafka_server.create_topic(**topic)
    return bench(tmp_path, topic=name, kafka=kafka_server, ftp=ftp_server)


def ago_ms(milliseconds: int) -> int:
    return round(time.time() * 1000) - milliseconds


def test_a_pipeline_that_is_well_says_its_figures_and_nothing_else(
    tmp_path, kafka_server, ftp_server
):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server, partitions=2)
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"%d" % n for n in range(90)])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        told = status(ctx)
    assert (told.healthy, told.advice) == (True, ())
    assert (told.backlog.oldest_at, told.backlog.oldest_minutes) == (None, None)
    assert told.backlog.retention_hours_left is None
    assert told.backlog.arrivals_per_second == pytest.approx(0.1)
    assert told.backlog.service_per_second > 1
    assert told.last_batch.batch == 3
    assert told.last_batch.sentence.startswith("20 records (about")
    assert [0, 0] == [line.held_back for line in told.partitions]


def test_the_oldest_unprocessed_picture_raises_both_alarms_wherever_it_lies(
    tmp_path, kafka_server, ftp_server
):
    """It lies in the partition with the shortest backlog of many, which nobody would look at."""
    kept = {"retention.ms": str(30 * HOUR_MS)}
    ferry = ferry_of(tmp_path, kafka_server, ftp_server, partitions=9, config=kept)
    topic = ferry.content["kafka"]["topic"]
    for partition in range(8):
        kafka_server.produce(topic, [b"x"] * 5, partition=partition)
    kafka_server.produce(topic, [b"old"], partition=8, timestamp_ms=ago_ms(20 * HOUR_MS))
    with ferry.context() as ctx:
        steps.plan(ctx)
        told = status(ctx)
    assert not told.healthy
    stale, expiring = told.advice
    assert "20 h old (watch.freshness_minutes: 15)" in stale
    assert "expires in 10 h (watch.retention_hours: 12)" in expiring
    assert told.backlog.oldest_minutes == pytest.approx(1200, abs=1)
    assert told.backlog.retention_hours_left == pytest.approx(10, abs=0.1)
    assert told.backlog.oldest_at is not None
    assert told.backlog.oldest_at.tzinfo is not None


def test_the_settings_decide_what_is_an_alarm(tmp_path, kafka_server, ftp_server):
    kept = {"retention.ms": str(30 * HOUR_MS)}
    ferry = ferry_of(tmp_path, kafka_server, ftp_server, config=kept)
    ferry.content["watch"] = {"retention_hours": 9, "freshness_minutes": 1300}
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"old"], timestamp_ms=ago_ms(20 * HOUR_MS))
    with ferry.context() as ctx:
        steps.plan(ctx)
        told = status(ctx)
    assert (told.healthy, told.advice) == (True, ())
    assert told.backlog.oldest_minutes == pytest.approx(1200, abs=1)


@pytest.mark.parametrize("bound", [3e7, 1e10, 1e300])
def test_a_bound_beyond_all_time_is_a_bound(tmp_path, kafka_server, ftp_server, bound):
    kept = {"retention.ms": str(30 * HOUR_MS)}
    ferry = ferry_of(tmp_path, kafka_server, ftp_server, config=kept)
    ferry.content["watch"] = {"retention_hours": bound, "freshness_minutes": bound}
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"old"], timestamp_ms=ago_ms(20 * HOUR_MS))
    with ferry.context() as ctx:
        steps.plan(ctx)
        told = status(ctx)
    (expiring,) = told.advice
    assert "expires in 10 h (watch.retention_hours: " in expiring
    assert told.backlog.oldest_minutes == pytest.approx(1200, abs=1)


def test_an_open_transaction_is_said_with_its_time_once_it_hangs(
    tmp_path, kafka_server, ftp_server
):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server, partitions=2)
    topic = ferry.content["kafka"]["topic"]
    began = datetime.now(tz=UTC) - timedelta(minutes=14)
    began_ms = round(began.timestamp() * 1000)
    hanging = kafka_server.open_transaction(topic, [b"x"] * 3, timestamp_ms=began_ms)
    young = kafka_server.open_transaction(topic, [b"x"] * 9, partition=1)
    with ferry.context() as ctx:
        poll(lambda: 9 == status(ctx).partitions[1].held_back, "the stable end")
        steps.plan(ctx)
        told = status(ctx)
        (line,) = told.advice
        assert line.startswith(
            "An open transaction holds back 3 offsets of partition 0 since "
            f"{began:%Y-%m-%d %H:%M:%S} UTC. Wait for it, or end it"
        )
        since = told.partitions[0].held_back_since
        assert since is not None
        assert abs(since - began) < timedelta(milliseconds=2)
        assert [0, 0] == [line.lag for line in told.partitions]
        for one in (hanging, young):
            one.abort_transaction(30)
        poll(lambda: status(ctx).healthy, "the transaction's end")


def test_a_partition_that_no_pipeline_owns_is_said_until_one_does(
    tmp_path, kafka_server, ftp_server
):
    topic = kafka_server.create_topic(partitions=4)
    first = bench(tmp_path / "a", topic=topic, kafka=kafka_server, ftp=ftp_server)
    first.content["kafka"]["partitions"] = [0, 2]
    second = bench(tmp_path / "b", topic=topic, kafka=kafka_server, ftp=ftp_server)
    second.ledger_url = first.url
    second.content["pipeline"] = f"{first.name}-too"
    second.content["kafka"]["partitions"] = [1]
    with first.context() as ctx:
        steps.plan(ctx)
        told = status(ctx)
        assert told.unowned_partitions == (1, 3)
        (line,) = told.advice
        assert line == (
            f"No pipeline owns partitions 1, 3 of topic {topic}, so nobody carries it. Give it "
            "to one (kafka.partitions), or let its pipeline make its first plan"
        )
        with second.context() as other:
            steps.plan(other)
            assert status(other).unowned_partitions == (3,)
        assert status(ctx).unowned_partitions == (3,)


def test_a_log_that_ends_below_what_was_planned_is_said(tmp_path, kafka_server, ftp_server):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server)
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"x"] * 3)
    with ferry.context() as ctx:
        (batch,) = steps.plan(ctx).batch_ids
        beyond = [OffsetRange(0, 3, 7)]
        ctx.ledger.add_batch(ctx.pipeline, ranges=beyond, sentence="", config_digest="")
        told = status(ctx)
    assert batch == 1
    (line,) = told.advice
    assert line == (
        "Partition 0 ends at 3, below its planned offset 7: the log was truncated. To go on, run: "
        f"frameferry topic accept {ferry.name} --reason …"
    )


def test_figures_of_another_topic_of_the_same_name_are_not_compared(
    tmp_path, kafka_server, ftp_server
):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server)
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"x"] * 3)
    with ferry.context() as ctx:
        steps.plan(ctx)
        kafka_server.delete_topic(topic)
        kafka_server.create_topic(topic)
        told = status(ctx)
    assert told.backlog.arrivals_per_second is None
    assert "truncated" not in " ".join(told.advice)


def test_kafka_being_down_is_advice_and_no_figure(tmp_path, kafka_server, ftp_server):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server)
    with ferry.context() as ctx:
        steps.plan(ctx)
    ferry.connections["plant_kafka"]["extra"]["bootstrap.servers"] = "127.0.0.1:1"
    with ferry.context() as ctx:
        told = status(ctx)
    (line,) = told.advice
    assert f"pipeline {ferry.name}: Kafka at 127.0.0.1:1" in line
    assert told.backlog.arrivals_per_second is None
    assert (told.partitions[0].end, told.partitions[0].lag) == (None, None)
    assert told.partitions[0].committed == 0


def test_people_read_the_sentences_of_open_batches_and_of_the_last_one(
    tmp_path, kafka_server, ftp_server
):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server)
    ferry.content["batch"] = {"max_records": 5}
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, [b"%d" % n for n in range(12)])
    with ferry.context() as ctx:
        first, second = steps.plan(ctx).batch_ids
    shown = ferry.run("status", ferry.name).stdout
    sentence = "up to 5 records (max_records): a first batch, whose cost nobody knows yet; lag"
    assert f"{sentence} 12" in shown
    assert f"{sentence} 7" in shown
    assert f"last batch {second}: {sentence} 7" in shown
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    shown = ferry.run("status", ferry.name).stdout
    assert "open batches" not in shown
    assert "last batch 3: " in shown
    assert "a minute can be carried" in shown
    assert first < second


def test_what_the_judge_remarks_on_most_pictures_is_said(tmp_path, kafka_server, ftp_server):
    ferry = ferry_of(tmp_path, kafka_server, ftp_server)
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"x"] * 3)
    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        token = ctx.ledger.claim(batch, owner="me", lease_seconds=60).token
        rows = [
            NamedPrediction(
                Prediction(0, at, -1, None, 1, sha256_hex(b"x"), label="good", detail="dark"),
                f"/x/{at}.png",
            )
            for at in range(3)
        ]
        ctx.ledger.record_predictions(
            token, rows, destination="d", judge_digest="j" * 64, seconds=1
        )
        told = status(ctx)
    assert f"Batch {batch}: 3 of 3 pictures: dark" in told.advice
