"""The warm route on a real Spark Connect server, a real broker and the committed model."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.ferry import bench
from fixtures.judging import (
    MODEL,
    by_offset,
    cpu_seconds,
    make_job,
    python_workers,
    slow_picture,
    surface,
)
from fixtures.kafka import KafkaServer
from fixtures.oddities import produce_with_broken_header_name
from fixtures.polling import poll
from fixtures.spark import SparkServer

from frameferry.config.connections import KafkaConnection, SparkConnection
from frameferry.config.settings import ModelSettings
from frameferry.domain.headers import header_text
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Judged
from frameferry.errors import (
    BatchTooBig,
    ControlFailed,
    Coordinates,
    FrameferryError,
    JudgingFailed,
    KafkaUnavailable,
    ModelMismatch,
    OffsetsLost,
    SparkLost,
    SparkUnavailable,
    TopicChanged,
    TopicUnseen,
)
from frameferry.inference.digest import judge_digest
from frameferry.pipeline import steps
from frameferry.spark import session
from frameferry.spark.identity import code_version, session_id
from frameferry.spark.job import ControlJob, JudgeJob
from frameferry.spark.route import control, judge

pytestmark = pytest.mark.timeout(300)

CLIENT = """
import sys
from pathlib import Path
from frameferry.config.connections import SparkConnection
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import judge

job = JudgeJob.from_json(Path(sys.argv[1]).read_text())
connection = SparkConnection(conn_id="spark_default", url=sys.argv[2])
print(len(judge(job, connection, deadline_seconds=120).predictions))
"""
COLD_SECONDS = 250


def judged(job: JudgeJob, server: SparkServer, seconds: float = COLD_SECONDS) -> Judged:
    return judge(job, server.connection, deadline_seconds=seconds)


@pytest.fixture(scope="module")
def slow_topic(kafka_server: KafkaServer) -> str:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [slow_picture()] * 200)
    return topic


@pytest.fixture(scope="module")
def one_picture(kafka_server: KafkaServer) -> str:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(1)])
    return topic


def test_rows_are_exactly_the_committed_records_of_the_ranges(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic(partitions=2)
    sent: dict[tuple[int, int], bytes] = {}
    for turn in range(6):
        partition, values = turn % 2, [surface(turn), surface(100 + turn)]
        headers = [[("filename", f"불량 {turn} ä.jpg".encode())], None]
        offsets = kafka_server.produce_transaction(
            topic, values, partition=partition, headers=headers, abort=turn == 2
        )
        if turn != 2:
            sent |= {(partition, o): v for o, v in zip(offsets, values, strict=True)}
    # Each transaction of two records takes three offsets: [1, 9) ends on a marker, [0, 8) before.
    job = make_job(kafka_server, topic, OffsetRange(0, 1, 9), OffsetRange(1, 0, 8))
    answer = judged(job, spark_server)
    rows = by_offset(answer.predictions)
    assert list(rows) == [(0, 1), (0, 6), (0, 7), (1, 0), (1, 1), (1, 3), (1, 4), (1, 6), (1, 7)]
    for place, row in rows.items():
        assert row.sha256 == hashlib.sha256(sent[place]).hexdigest()
        assert row.size_bytes == len(sent[place])
        assert row.label in {"good", "scratch", "hole", "stain"}
        assert 0 <= row.score <= 1
        assert row.reason is None
        assert time.time() - row.timestamp_ms / 1000 < 600
    assert rows[1, 3].source_name == "불량 3 ä.jpg"
    assert rows[1, 4].source_name is None
    assert answer.judge_digest == judge_digest(job.model)


def test_several_ranges_of_a_partition_are_judged_in_one_job(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    """As of records that lie scattered in quarantine."""
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(number) for number in range(6)])
    ranges = [OffsetRange(0, start, end) for start, end in ((0, 1), (2, 4), (5, 6))]
    answer = judged(make_job(kafka_server, topic, *ranges), spark_server)
    assert [0, 2, 3, 5] == [one.offset for one in answer.predictions]
    assert {None} == {one.reason for one in answer.predictions}


def test_ranges_that_begin_end_or_consist_of_markers_and_aborted_records_are_read_by_position(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    """In each partition: 0 1 data, 2 marker, 3 4 aborted, 5 marker, 6 data, 7 marker."""
    wanted = {
        OffsetRange(0, 2, 3): [],
        OffsetRange(1, 7, 8): [],
        OffsetRange(2, 3, 5): [],
        OffsetRange(3, 2, 7): [6],
        OffsetRange(4, 1, 8): [1, 6],
        OffsetRange(5, 0, 4): [0, 1],
    }
    topic = kafka_server.create_topic(partitions=len(wanted))
    for partition in range(len(wanted)):
        for values, abort in (([surface(0)] * 2, False), ([b"x"] * 2, True), ([surface(1)], False)):
            kafka_server.produce_transaction(topic, values, partition=partition, abort=abort)
    rows = by_offset(judged(make_job(kafka_server, topic, *wanted), spark_server).predictions)
    assert list(rows) == [(part.partition, at) for part, met in wanted.items() for at in met]
    nothing = [part for part, met in wanted.items() if not met]
    assert judged(make_job(kafka_server, topic, *nothing), spark_server).predictions == ()


def test_the_headers_that_a_name_is_made_of_travel_with_the_row(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    long = b"x" * 4000
    headers = [
        [("line", b"3"), ("line", b"4"), ("recipe 'id'", "도장".encode()), ("secret", b"x")],
        [("line", None), ("recipe 'id'", b"\xff\0")],
        None,
        [("line", long)],
    ]
    kafka_server.produce(topic, [surface(1)] * 4, headers=headers)
    wanted = ("recipe 'id'", "line")
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 4), name_headers=wanted)
    rows = [dict(row.headers) for row in judged(job, spark_server).predictions]
    assert {"line": "3", "recipe 'id'": "도장"} == rows[0]
    assert [{"recipe 'id'": "\N{REPLACEMENT CHARACTER}" * 2}, {}] == rows[1:3]
    assert {"line": header_text(long)} == rows[3]


def test_what_is_odd_about_a_record_fails_no_picture(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    """Dates in nanoseconds, before 1970 and of the year 9999; odd headers; no key, no value."""
    any_time = str(2**63 - 1)
    keep = {
        "message.timestamp.after.max.ms": any_time,
        "message.timestamp.before.max.ms": any_time,
    }
    topic = kafka_server.create_topic(config=keep)
    dates = [time.time_ns(), 1, 253_402_300_799_000, 2**62]
    for number, date in enumerate(dates):
        kafka_server.produce(topic, [surface(number)], timestamp_ms=date)
    produce_with_broken_header_name(kafka_server.bootstrap_servers, topic, surface(4))
    many = [("filename", b"\0"), *[("x", b"y")] * 2000]
    kafka_server.produce(topic, [surface(5), None], headers=[many, [("filename", None)]])
    rows = judged(make_job(kafka_server, topic, OffsetRange(0, 0, 7)), spark_server).predictions
    assert dates == [row.timestamp_ms for row in rows[:4]]
    assert [row.label is not None for row in rows] == [True] * 6 + [False]
    assert "empty" == rows[6].reason


def test_a_password_of_kafka_is_in_no_event_log_nor_log(
    kafka_server: KafkaServer, spark_server: SparkServer, one_picture: str
) -> None:
    secret = "sesame-open-4711"
    options = {**kafka_server.connection.options, "sasl.password": secret}
    kafka = KafkaConnection(conn_id="plant_kafka", options=options)
    job = make_job(kafka_server, one_picture, OffsetRange(0, 0, 1), kafka=kafka, batch_id=4711)
    assert 1 == len(judged(job, spark_server).predictions)
    wrong = replace(job, ranges=(OffsetRange(7, 0, 1),), attempt=2)
    with pytest.raises(TopicUnseen) as caught:
        judged(wrong, spark_server)
    assert secret not in str(caught.value)

    def told() -> str:
        found = [*spark_server.events.rglob("*"), *(spark_server.files.home / "logs").glob("*")]
        return "".join(path.read_text("utf-8", "replace") for path in found if path.is_file())

    # The job's tag shows that its plan is in there.
    poll(lambda: job.tag in told(), "the event log")
    assert secret not in told()


def test_a_bad_picture_is_a_row_with_a_reason(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    values = [b"", None, b"no picture at all", surface(1)[:900], surface(1)]
    names = [[("filename", b"\xff\0.jpg")], *[None] * 4]
    kafka_server.produce(topic, values, headers=names)
    rows = judged(make_job(kafka_server, topic, OffsetRange(0, 0, 5)), spark_server).predictions
    assert [row.size_bytes for row in rows] == [0, 0, 17, 900, len(surface(1))]
    assert [row.label is None for row in rows] == [True, True, True, True, False]
    assert all((row.reason is None) == (row.label is not None) for row in rows)
    assert rows[0].sha256 == rows[1].sha256 == hashlib.sha256(b"").hexdigest()
    assert rows[0].source_name == "\N{REPLACEMENT CHARACTER}" * 2 + ".jpg"


def test_a_second_client_process_finds_the_model_loaded(
    kafka_server: KafkaServer, spark_server: SparkServer, tmp_path: Path
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(seed) for seed in range(20)])
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 20))
    judged(job, spark_server)
    before = python_workers(spark_server.pid)
    job_file = tmp_path / "job.json"
    job_file.write_text(job.to_json())
    cost = cpu_seconds(before)
    client = subprocess.run(
        [sys.executable, "-c", CLIENT, str(job_file), spark_server.url],
        cwd=tmp_path,
        env={**os.environ, "FRAMEFERRY_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=COLD_SECONDS,
        check=True,
    )
    assert client.stdout.strip() == "20"
    assert python_workers(spark_server.pid) == before
    # To import TensorFlow again would cost more than that, in each of them.
    assert cpu_seconds(before) - cost < 3


def test_image_bytes_never_reach_the_driver(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    # The server's spark.driver.maxResultSize is 64 MB; these are 80.
    kafka_server.produce(topic, [os.urandom(1_000_000) for _ in range(80)])
    rows = judged(make_job(kafka_server, topic, OffsetRange(0, 0, 80)), spark_server).predictions
    assert [row.offset for row in rows] == list(range(80))


def test_a_closed_session_is_followed_by_the_next_generation(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(1)])
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 1))
    first = session_id(code_version(), {}, 0)
    script = (
        "import sys; from pyspark.sql.connect.session import SparkSession;"
        "spark = SparkSession.builder.remote(sys.argv[1]).create(); spark.version; spark.stop()"
    )
    url = f"{spark_server.url}/;user_id=frameferry;session_id={first}"
    subprocess.run([sys.executable, "-c", script, url], timeout=60, check=True)
    assert len(judged(job, spark_server).predictions) == 1


def test_a_model_that_does_not_fit_is_no_failure_of_spark(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(1)])
    model = make_job(kafka_server, topic, OffsetRange(0, 0, 1)).model
    wrong = model.model_copy(update={"input_height_pixels": 7, "input_width_pixels": 7})
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 1), model=wrong)
    with pytest.raises(ModelMismatch, match=r"the model takes .*7 x 7 x 3"):
        judged(job, spark_server)
    nowhere = ModelSettings(path="/nowhere/model")
    with pytest.raises(ModelMismatch, match=r"/nowhere/model: there is no model"):
        judged(make_job(kafka_server, topic, OffsetRange(0, 0, 1), model=nowhere), spark_server)


def test_offsets_that_retention_took_are_lost_not_skipped(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(seed) for seed in range(10)])
    kafka_server.delete_records(topic, {0: 5})
    with pytest.raises(OffsetsLost, match="holds offsets from 5 on; 0 to 4 expired") as caught:
        judged(make_job(kafka_server, topic, OffsetRange(0, 0, 10)), spark_server)
    assert Coordinates(topic=topic, partition=0, offset=0) == caught.value.where


def test_a_broker_that_is_not_there_is_kafkas_trouble(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    nobody = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": "127.0.0.1:1"})
    job = make_job(kafka_server, "nowhere", OffsetRange(0, 0, 1), kafka=nobody)
    with pytest.raises(KafkaUnavailable, match=r"127\.0\.0\.1:1 gave no answer.*'plant_kafka'"):
        judged(job, spark_server)


def test_past_its_deadline_a_call_fails_and_its_work_ends(
    kafka_server: KafkaServer, spark_server: SparkServer, slow_topic: str
) -> None:
    job = make_job(kafka_server, slow_topic, OffsetRange(0, 0, 200))
    started = time.monotonic()
    with pytest.raises(JudgingFailed, match=r"deadline of 3 s .* interrupted"):
        judged(job, spark_server, seconds=3)
    assert time.monotonic() - started < 3 + 10
    poll(lambda: is_idle(spark_server), "the end of the work", seconds=20)


def test_a_job_that_was_given_up_while_its_session_opened_does_not_begin(
    kafka_server: KafkaServer, spark_server: SparkServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened, over = threading.Event(), threading.Event()
    really = session._shared

    @contextmanager
    def late(connection: SparkConnection) -> Iterator[Any]:
        with really(connection) as found:
            assert opened.wait(60)
            try:
                yield found
            finally:
                over.set()

    monkeypatch.setattr(session, "_shared", late)
    monkeypatch.setattr("frameferry.spark.session.OPENING_SECONDS", 0.2)
    job = make_job(kafka_server, kafka_server.create_topic(), OffsetRange(0, 0, 1), batch_id=77)
    begun: list[Any] = []
    monkeypatch.setattr("frameferry.spark.session.job_table", lambda *told: begun.append(told))
    with pytest.raises(SparkUnavailable, match=r"opened no session in 0\.2 s"):
        judged(job, spark_server)
    opened.set()
    assert over.wait(60)
    assert begun == []


def is_idle(server: SparkServer) -> bool:
    """Say whether no worker of the server computed during one second."""
    workers = python_workers(server.pid)
    used, end = cpu_seconds(workers), time.monotonic() + 1
    poll(lambda: time.monotonic() > end, "a second")
    return cpu_seconds(workers) - used < 0.1


def test_a_newer_attempt_interrupts_the_older_one(
    kafka_server: KafkaServer, spark_server: SparkServer, slow_topic: str
) -> None:
    outcome: list[FrameferryError] = []

    def older() -> None:
        try:
            judged(make_job(kafka_server, slow_topic, OffsetRange(0, 0, 200)), spark_server)
        except FrameferryError as error:
            outcome.append(error)

    idle = cpu_seconds(python_workers(spark_server.pid))
    first = threading.Thread(target=older)
    first.start()
    # Until the older one's operation has begun there is nothing to interrupt.
    poll(
        lambda: cpu_seconds(python_workers(spark_server.pid)) > idle + 1,
        "judging",
        seconds=90,
    )
    newer = make_job(kafka_server, slow_topic, OffsetRange(0, 0, 1), attempt=2)
    assert len(judged(newer, spark_server).predictions) == 1
    first.join(60)
    assert [type(each) for each in outcome] == [JudgingFailed]
    assert "interrupted, by a newer attempt" in str(outcome[0])


def test_a_server_that_dies_in_a_call_is_said_and_works_again_after_its_restart(
    kafka_server: KafkaServer, spark_server: SparkServer, slow_topic: str
) -> None:
    job = make_job(kafka_server, slow_topic, OffsetRange(0, 0, 200), batch_id=9)
    idle = cpu_seconds(python_workers(spark_server.pid))
    outcome: list[FrameferryError] = []

    def call() -> None:
        try:
            judged(job, spark_server)
        except FrameferryError as error:
            outcome.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    poll(
        lambda: cpu_seconds(python_workers(spark_server.pid)) > idle + 1,
        "judging",
        seconds=90,
    )
    with spark_server.crashed(meanwhile=lambda: thread.join(60)):
        assert [type(each) for each in outcome] == [SparkLost]
        with pytest.raises(SparkUnavailable, match=r"nothing answers|failed to connect"):
            judged(job, spark_server)
    again = make_job(kafka_server, slow_topic, OffsetRange(0, 0, 1), batch_id=9, attempt=2)
    assert len(judged(again, spark_server).predictions) == 1


def control_of(broker: KafkaServer, topic: str, **changes: Any) -> ControlJob:
    return ControlJob(make_job(broker, topic, OffsetRange(0, 0, 1), **changes))


def test_the_control_passes_on_a_sound_model(
    kafka_server: KafkaServer, spark_server: SparkServer, one_picture: str
) -> None:
    job = control_of(kafka_server, one_picture)
    control(job, spark_server.connection, deadline_seconds=COLD_SECONDS)


def test_a_relative_path_of_the_model_begins_where_the_client_is(
    kafka_server: KafkaServer,
    spark_server: SparkServer,
    one_picture: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the demo's files have it; the workers are in a folder of their own."""
    monkeypatch.chdir(MODEL.parents[1])
    model = ModelSettings(path="surface/1")
    job = make_job(kafka_server, one_picture, OffsetRange(0, 0, 1), model=model)
    assert 1 == len(judged(job, spark_server).predictions)
    control(ControlJob(job), spark_server.connection, deadline_seconds=COLD_SECONDS)


def test_the_control_meets_the_trouble_of_reading_that_the_batch_meets(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(1)] * 2)
    kafka_server.delete_records(topic, {0: 2})
    with pytest.raises(OffsetsLost):
        control(control_of(kafka_server, topic), spark_server.connection, deadline_seconds=60)


def test_the_control_fails_where_the_model_says_otherwise_than_its_card(
    kafka_server: KafkaServer, spark_server: SparkServer, one_picture: str, tmp_path: Path
) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    card = tmp_path / "model" / "card.yaml"
    card.write_text(card.read_text().replace("label: hole", "label: stain"))
    model = ModelSettings(path=str(tmp_path / "model"))
    job = control_of(kafka_server, one_picture, model=model)
    with pytest.raises(ControlFailed, match="the model says hole"):
        control(job, spark_server.connection, deadline_seconds=COLD_SECONDS)


def test_without_pictures_on_its_card_any_answer_to_a_grey_one_will_do(
    kafka_server: KafkaServer, spark_server: SparkServer, one_picture: str, tmp_path: Path
) -> None:
    shutil.copytree(MODEL, tmp_path / "model")
    card = tmp_path / "model" / "card.yaml"
    content = yaml.safe_load(card.read_text())
    card.write_text(yaml.safe_dump({**content, "control": []}))
    model = ModelSettings(path=str(tmp_path / "model"))
    job = control_of(kafka_server, one_picture, model=model)
    control(job, spark_server.connection, deadline_seconds=COLD_SECONDS)


def test_a_job_stops_before_it_passes_its_bound_of_bytes(
    kafka_server: KafkaServer, spark_server: SparkServer
) -> None:
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [os.urandom(1000)] * 6)
    job = make_job(kafka_server, topic, OffsetRange(0, 0, 6), max_bytes=4500)
    with pytest.raises(BatchTooBig, match="4500 bytes") as caught:
        judged(job, spark_server)
    assert (0, 4) == (caught.value.partition, caught.value.offset)
    # One record is never too much.
    alone = make_job(kafka_server, topic, OffsetRange(0, 0, 1), max_bytes=10)
    assert 1 == len(judged(alone, spark_server).predictions)


def test_what_workers_read_of_a_topic_that_was_made_anew_is_thrown_away(
    kafka_server: KafkaServer, spark_server: SparkServer, ftp_server: Any, tmp_path: Path
) -> None:
    """The driver looks behind the job: the workers ask for the topic by its name."""
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(seed) for seed in range(4)])
    servers = {"kafka": kafka_server, "ftp": ftp_server, "spark": spark_server}
    ferry = bench(tmp_path, topic=topic, **servers, model={"path": str(MODEL)})
    answers = []

    def made_anew_before(*arguments: Any, **options: Any) -> Judged:
        kafka_server.delete_topic(topic)
        kafka_server.create_topic(topic)
        kafka_server.produce(topic, [surface(100 + seed) for seed in range(9)])
        answers.append(judge(*arguments, **options))
        return answers[0]

    with ferry.context() as ctx:
        [batch] = steps.plan(ctx).batch_ids
        with pytest.raises(TopicChanged):
            steps.infer(replace(ctx, judge=made_anew_before), batch)
        assert 4 == len(answers[0].predictions)
        assert ctx.ledger.batch(batch).inferred_at is None
        assert [] == ctx.ledger.records(ctx.pipeline)
