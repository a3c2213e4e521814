"""All pipelines at once: alarms of a world that is so, exit codes, gauges; none hides another."""

from __future__ import annotations

import json
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.kafka import KafkaServer
from fixtures.ledgers import aged, claim, deliver, row
from prometheus_client.parser import text_string_to_metric_families
from typer.testing import CliRunner, Result

from frameferry.cli.main import app
from frameferry.domain.alarms import Alarm
from frameferry.domain.status import Answer, Status
from frameferry.errors import KafkaUnavailable, TopicMissing
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.operations.monitor import survey as surveying
from frameferry.operations.monitor.clusters import KeptCluster
from frameferry.operations.monitor.survey import survey_all
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up

MINUTE_MS = 60_000


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: KafkaServer, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    return bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)


def said(ferry: FerryBench, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """Run a command in this process, as the command line would."""
    ferry.write()
    for name, value in ferry.environment().items():
        monkeypatch.setenv(name, value)
    return CliRunner().invoke(app, list(arguments))


def topic_of(ferry: FerryBench) -> str:
    topic: str = ferry.content["kafka"]["topic"]
    return topic


def beside(ferry: FerryBench, name: str, **kafka: Any) -> FerryBench:
    """Make another pipeline's file in the same folder and ledger."""
    content = {
        **ferry.content,
        "pipeline": name,
        "kafka": {**ferry.content["kafka"], **kafka},
        "deliver": {**ferry.content["deliver"], "base": f"/{name}"},
    }
    other = FerryBench(ferry.folder, content, ferry.connections)
    other.write()
    return other


def carry_labelled(
    ctx: Context, labels: list[str | None], *, quarantined: int = 0, age: timedelta
) -> None:
    """Carry what is planned, as a model that says *labels* would have, so long ago."""
    (batch_id,) = steps.plan(ctx).batch_ids
    batch = claim(ctx.ledger, batch_id)
    (wanted,) = batch.ranges
    bad = len(labels)
    said = [
        row(0, wanted.start + at, label=labels[at])
        if at < bad
        else row(0, wanted.start + at, quarantine=("truncated", ""))
        for at in range(bad + quarantined)
    ]
    ctx.ledger.record_predictions(
        batch.token, said, destination="d", judge_digest="j" * 64, seconds=1
    )
    deliver(ctx.ledger, batch)
    ctx.ledger.commit(batch.id)
    aged(ctx.ledger, batch.id, age)


def only(told: Status, kind: str) -> Alarm:
    (found,) = [alarm for alarm in told.alarms if alarm.kind == kind]
    return found


def answers_of(ferry: FerryBench, monkeypatch: pytest.MonkeyPatch, **options: Any) -> list[Answer]:
    ferry.write()
    for name in ("FRAMEFERRY_HOME", "FRAMEFERRY_PIPELINES", "FRAMEFERRY_LEDGER_URL"):
        monkeypatch.setenv(name, ferry.environment()[name])
    return list(survey_all(ferry.resolve, **options))


def test_labels_that_come_otherwise_than_last_week_are_an_alarm(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    ferry.content["watch"] = {"drift_pictures": 10}
    with ferry.context() as ctx:
        for labels, age in (
            (["good"] * 9 + ["scratch"], timedelta(days=3)),
            (["good"] * 5 + ["scratch"] * 5, timedelta(hours=2)),
        ):
            kafka_server.produce(topic_of(ferry), [b"x"] * 10)
            carry_labelled(ctx, labels, age=age)
        told = status(ctx)
    drifted = [alarm for alarm in told.alarms if alarm.kind == "label_drift"]
    assert [alarm.about for alarm in drifted] == ["good", "scratch"]
    assert "Label scratch is 50% of the 10 pictures judged in the last 24 h" in drifted[1].sentence
    assert ("scratch", 0.5, 0.1) in [(s.label, s.recent, s.before) for s in told.label_shares]


def test_much_in_quarantine_within_an_hour_is_an_alarm(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    kafka_server.produce(topic_of(ferry), [b"x"] * 20)
    with ferry.context() as ctx:
        carry_labelled(ctx, ["good"] * 14, quarantined=6, age=timedelta(minutes=5))
        told = status(ctx)
        assert "6 of the last hour's 20 pictures" in only(told, "quarantine_rate").sentence
        assert (told.pictures_last_hour, told.quarantined_last_hour) == (20, 6)


def test_a_backlog_that_grows_from_look_to_look_is_an_alarm_however_fast_batches_are(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    """As where its DAG is paused: batches were fast, and none was made for half an hour."""
    ferry.content["batch"] = {"target_seconds": 0.001}
    ferry.content["watch"] = {"freshness_minutes": 600}
    topic, now_ms = topic_of(ferry), round(time.time() * 1000)
    kafka_server.produce(topic, [b"x"] * 5, timestamp_ms=now_ms - 90 * MINUTE_MS)
    with ferry.context() as ctx:
        carry_labelled(ctx, ["good"] * 5, age=timedelta(minutes=80))
        for minutes in (40, 20):
            kafka_server.produce(topic, [b"x"] * 30, timestamp_ms=now_ms - minutes * MINUTE_MS)
        assert status(ctx).healthy, "nothing came in the last quarter of an hour"
        kafka_server.produce(topic, [b"x"] * 30)
        alarm = only(status(ctx), "falling_behind")
        assert "the backlog grew from 30 to 60 to 90 pictures in 30 min" in alarm.sentence


def test_status_of_all_shows_each_and_says_by_its_exit_code_that_one_could_not_be_asked(
    ferry: FerryBench, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ended at the first pipeline that could not be asked."""
    kafka_server.produce(topic_of(ferry), [b"x"])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    assert said(ferry, monkeypatch, "status").exit_code == 0
    beside(ferry, "zzz-lost", connection="no_such_kafka")
    (ferry.path.parent / "aaa-broken.yaml").write_text("pipeline: aaa-broken\nmodel: none\n")
    done = said(ferry, monkeypatch, "status")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert lines[0] == "aaa-broken: cannot be asked"
    assert f"{ferry.name}: healthy" in lines
    assert any(line.startswith("zzz-lost: needs attention: ") for line in lines)
    (error,) = (line for line in done.stderr.splitlines() if line.startswith("error: "))
    assert "aaa-broken.yaml: kafka: Field required" in error
    told = json.loads(said(ferry, monkeypatch, "status", "--json").stdout)
    assert [one["error"] is None for one in told] == [False, True, True]
    assert told[0]["alarms"][0]["kind"] == "unasked"
    assert told[2]["alarms"][0]["kind"] == "kafka_unasked"


def test_the_first_line_of_a_status_says_whether_it_is_well_and_what_to_do(
    ferry: FerryBench, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ferry.context() as ctx:
        steps.plan(ctx)
        ctx.ledger.block(ctx.pipeline, reason="530 no entry", digest=None)
        kafka_server.produce(topic_of(ferry), [b"x"], timestamp_ms=1_763_000_000_000)
    shown = said(ferry, monkeypatch, "status", ferry.name).stdout
    assert shown.splitlines()[0] == (
        f"{ferry.name}: needs attention: Blocked: 530 no entry. Put it right, then run: "
        f"frameferry unblock {ferry.name}"
    )
    assert "  The oldest unprocessed picture (partition 0, offset 0) is of 2025-11-13" in shown


def test_alarms_end_as_nagios_reads_it(
    ferry: FerryBench, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka_server.produce(topic_of(ferry), [b"x"])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        done = ferry.run("alarms")
        assert (done.returncode, done.stdout) == (
            0,
            "FRAMEFERRY OK: 0 alarms, 0 of 1 pipeline need attention\n",
        )
        kafka_server.produce(topic_of(ferry), [b"x"], timestamp_ms=1_763_000_000_000)
        warned = said(ferry, monkeypatch, "alarms", ferry.name)
        assert warned.exit_code == 1
        assert f"{ferry.name}: warning: freshness: The oldest" in warned.stdout
        ctx.ledger.block(ctx.pipeline, reason="530 no entry", digest=None)
    worst = said(ferry, monkeypatch, "alarms", "--json")
    assert worst.exit_code == 2
    told = json.loads(worst.stdout)
    assert [(one["pipeline"], one["kind"]) for one in told] == [
        (ferry.name, "blocked"),
        (ferry.name, "freshness"),
    ]
    assert [one["severity"] for one in told] == ["critical", "warning"]
    assert (told[1]["partition"], told[1]["offset"]) == (0, 1)
    unknown = said(ferry, monkeypatch, "alarms", "nobody")
    assert unknown.exit_code == 3
    assert "no pipeline 'nobody'" in unknown.stderr


def test_gauges_are_text_that_prometheus_reads_and_a_file_is_replaced_whole(
    ferry: FerryBench,
    kafka_server: KafkaServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kafka_server.produce(topic_of(ferry), [b"x"] * 3)
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    kafka_server.produce(topic_of(ferry), [b"x"] * 2)
    target = tmp_path / "frameferry.prom"
    target.write_text("old")
    done = said(ferry, monkeypatch, "metrics", "--output", str(target))
    assert (done.exit_code, done.stdout) == (0, "")
    found = {
        (sample.name, sample.labels.get("partition") or sample.labels.get("outcome")): sample.value
        for family in text_string_to_metric_families(target.read_text())
        for sample in family.samples
        if sample.labels["pipeline"] == ferry.name
    }
    assert found["frameferry_lag_offsets", "0"] == 2
    assert found["frameferry_committed_offset", "0"] == 3
    assert found["frameferry_records", "delivered"] == 3
    assert found["frameferry_healthy", None] == found["frameferry_asked", None] == 1
    assert found["frameferry_last_delivered_timestamp_seconds", None] > time.time() - 300
    refused = ferry.run("metrics", "--output", str(tmp_path / "nowhere" / "x.prom"))
    assert refused.returncode == 1
    assert "cannot be written to" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_cluster_that_is_silent_is_waited_for_twice_not_once_a_pipeline(
    ferry: FerryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for number in range(12):
        beside(ferry, f"{ferry.name}-{number}")
    ferry.connections["plant_kafka"]["extra"]["bootstrap.servers"] = "127.0.0.1:1"
    real = Cluster.view

    def counting(self: Cluster, topic: str, partitions: tuple[int, ...] | None) -> TopicView:
        asked.append(topic)
        return real(self, topic, partitions)

    monkeypatch.setattr(Cluster, "view", counting)
    monkeypatch.setattr(surveying, "KAFKA_TIMEOUT_SECONDS", 1.0)
    answers = answers_of(ferry, monkeypatch)
    assert len(answers) == 13
    for answer in answers:
        assert isinstance(answer, Status)
        assert answer.alarms[0].kind == "kafka_unasked"
        assert f"pipeline {answer.pipeline}: Kafka at 127.0.0.1:1" in answer.alarms[0].sentence
    assert len(asked) <= 2 * surveying._AT_ONCE


def test_one_that_does_not_answer_in_time_hides_no_other(
    ferry: FerryBench, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kafka_server.produce(topic_of(ferry), [b"x"])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
    other = beside(ferry, "slow")
    real = surveying.status

    def slow(ctx: Context) -> Status:
        if ctx.pipeline == other.name:
            time.sleep(6)
        return real(ctx)

    monkeypatch.setattr(surveying, "status", slow)
    found = {one.pipeline: one for one in answers_of(ferry, monkeypatch, patience_seconds=5)}
    assert found["slow"].error == "No answer within 5 s"
    assert found[ferry.name].healthy, found[ferry.name].advice


def test_what_nobody_foresaw_is_that_pipelines_alone(
    ferry: FerryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ferry.context() as ctx:
        steps.plan(ctx)
    beside(ferry, "odd")
    real = surveying.status

    def odd(ctx: Context) -> Status:
        if ctx.pipeline == "odd":
            raise ZeroDivisionError
        return real(ctx)

    monkeypatch.setattr(surveying, "status", odd)
    found = {one.pipeline: one for one in answers_of(ferry, monkeypatch)}
    assert found["odd"].error == "ZeroDivisionError while it was asked; see the log"
    assert found[ferry.name].error is None


def test_a_ledger_that_does_not_answer_is_said_of_each(
    ferry: FerryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ferry.ledger_url = "postgresql://ferry@127.0.0.1:1/ledger"
    beside(ferry, "two").ledger_url = ferry.ledger_url
    answers = answers_of(ferry, monkeypatch)
    assert [answer.error is not None for answer in answers] == [True, True]
    assert {alarm.kind for answer in answers for alarm in answer.alarms} == {"unasked"}


def test_a_kafka_that_comes_back_is_asked_again(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    with closing(KeptCluster(kafka_server.connection, timeout_seconds=5)) as cluster:
        cluster._silences = 1
        assert cluster.view(topic_of(ferry), None).partitions == (0,)
        assert cluster._silences == 0
        cluster._silences = 2
        with pytest.raises(KafkaUnavailable):
            cluster.view(topic_of(ferry), None)
        cluster._silences = 0
        with pytest.raises(TopicMissing):
            cluster.view("no-such-topic", None)
        assert cluster._silences == 0
        cluster.drop()
