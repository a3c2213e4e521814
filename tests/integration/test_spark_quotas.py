"""A quota of Kafka's on what Spark's workers read: in words, and nobody's fault."""

from __future__ import annotations

import pytest
from fixtures.judging import large, make_job
from fixtures.kafka import KafkaServer
from fixtures.spark import SparkServer

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import KafkaThrottled
from frameferry.spark.job import ControlJob
from frameferry.spark.route import control, judge


def test_a_judge_job_says_before_its_deadline_that_a_quota_holds_it_back(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [large(seed) for seed in range(8)])
    warm = make_job(kafka_server, topic, OffsetRange(0, 0, 1))
    judge(warm, spark_server.connection, deadline_seconds=250)
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 8), kafka=kafka_server.named("spark"))
    with kafka_server.limited_client("spark", consumer_byte_rate=100_000):
        with pytest.raises(KafkaThrottled, match="quota held back"):
            judge(job, spark_server.connection, deadline_seconds=10)
        # The control reads the same offsets; that they come slowly is no fault of the model.
        control(ControlJob(job), spark_server.connection, deadline_seconds=20)
    answer = judge(job, spark_server.connection, deadline_seconds=60)
    assert 8 == len(answer.predictions)
