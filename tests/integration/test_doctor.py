"""`frameferry doctor` on a whole installation, and on broken ones."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.certificates import make_authority
from fixtures.ferry import FerryBench, bench
from fixtures.ftp import FtpHost
from fixtures.ftp_proxy import FaultProxy
from fixtures.ftp_site import PASSWORD, USER
from fixtures.judging import MODEL, surface
from fixtures.kafka import KafkaServer
from fixtures.odd_ftp import odd_server
from fixtures.spark import SparkServer

from frameferry.domain.signs import Sign, Verdict
from frameferry.ledger.opening import open_ledger
from frameferry.operations.doctor.diagnosing import NOT_ASKED, QUESTIONS, diagnose
from frameferry.pipeline.run import run_once

NEVER = "127.0.0.1:1"
PATIENCE = 240
"""Workers that are cold import TensorFlow first."""


@pytest.fixture
def ferry(
    tmp_path: Path,
    kafka_server: KafkaServer,
    ftp_server: FtpHost,
    monkeypatch: pytest.MonkeyPatch,
) -> FerryBench:
    """A pipeline that delivers unjudged, as the command finds it."""
    topic = kafka_server.create_topic(partitions=2)
    kafka_server.produce(topic, [surface(0)])
    found = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    for name, value in found.environment().items():
        if name.startswith("FRAMEFERRY_"):
            monkeypatch.setenv(name, value)
    return found


def looked_at(ferry: FerryBench, seconds: float = 60) -> list[Sign]:
    ferry.write()
    return list(diagnose(ferry.resolve, airflow={}, seconds=seconds))


def judge(ferry: FerryBench, server: SparkServer, model: Path) -> None:
    """Let the pipeline judge, on this server."""
    ferry.content["model"] = {"path": str(model)}
    host, _, port = server.url.removeprefix("sc://").partition(":")
    ferry.connections["spark_default"] |= {"host": host, "port": int(port)}


def of(signs: list[Sign], question: str) -> list[Sign]:
    return [one for one in signs if one.question == question]


def bad(signs: list[Sign], question: str) -> str:
    """Join what is not well of a question, with what to do."""
    ill = [one for one in of(signs, question) if one.verdict is not Verdict.OK]
    assert all(one.remedy for one in ill)
    return "; ".join(f"{one.verdict}: {one.seen}. {one.remedy}" for one in ill)


def test_a_whole_installation_is_well_and_nothing_of_the_look_stays(
    ferry: FerryBench, spark_server: SparkServer, ftp_server: FtpHost
) -> None:
    judge(ferry, spark_server, MODEL)
    open_ledger(ferry.url).close()
    signs = looked_at(ferry, PATIENCE)
    assert set(QUESTIONS) - {"java"} == {one.question for one in signs}
    assert [("ftp", "encryption: none: password and pictures travel in the clear")] == [
        (one.question, one.seen)
        for one in signs
        if one.verdict is not Verdict.OK and one.question != "status"
    ]
    assert "Nothing was planned yet" in bad(signs, "status")
    (model,) = of(signs, "model")
    assert "on 1 machine" in model.seen
    base = ftp_server.root / ferry.content["deliver"]["base"].strip("/")
    assert not base.exists() or [] == list(base.iterdir())
    with sqlite3.connect(ferry.folder / "ledger.db") as ledger:
        assert [(0,)] == ledger.execute("SELECT count(*) FROM batch").fetchall()


def test_a_model_that_the_workers_do_not_see_is_said(
    ferry: FerryBench, spark_server: SparkServer, tmp_path: Path
) -> None:
    judge(ferry, spark_server, tmp_path / "none")
    signs = looked_at(ferry, PATIENCE)
    assert "wrong" in bad(signs, "files")
    assert "there is no model" in bad(signs, "model")


def test_before_anything_ran_no_ledger_is_made(ferry: FerryBench) -> None:
    signs = looked_at(ferry)
    assert "warn: there is none yet" in bad(signs, "ledger")
    assert [] == of(signs, "status")
    assert Verdict.OK in {one.verdict for one in of(signs, "ftp")}
    assert not (ferry.folder / "ledger.db").exists()


def test_a_broken_installation_gives_a_full_report_in_time(
    ferry: FerryBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    ferry.content["model"] = {"path": str(MODEL)}
    ferry.content["spark"] = {"connection": "spark_submit"}
    ferry.connections["plant_kafka"]["extra"] = {"bootstrap.servers": NEVER}
    ferry.connections["archive_ftp"] |= {"port": 1}
    ferry.connections["spark_submit"] = {"conn_type": "spark", "host": "spark://127.0.0.1:1"}
    (ferry.folder / "pipelines").mkdir()
    (ferry.folder / "pipelines" / "torn.yaml").write_text("pipeline: [")
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", f"postgresql://ferry:hunter2@{NEVER}/ledger")
    began = time.monotonic()
    signs = looked_at(ferry)
    assert time.monotonic() - began < 120
    assert set(QUESTIONS) - {"model"} == {one.question for one in signs}
    for question, words in {
        "files": "torn.yaml",
        "ledger": "does not answer",
        "topic": "Start the broker, or check bootstrap.servers",
        "mirror": "Start the broker, or check bootstrap.servers",
        "status": NOT_ASKED,
        "ftp": NOT_ASKED,
        "spark": "nothing answers at spark://127.0.0.1:1",
    }.items():
        assert words in f"{of(signs, question)}{bad(signs, question)}", question
    assert "hunter2" not in str(signs)


def test_a_connection_that_is_not_defined_is_said_of_each_that_needs_it(
    ferry: FerryBench,
) -> None:
    for name in ("PLANT_KAFKA", "ARCHIVE_FTP"):
        ferry.connections.pop(name.lower())
    done = ferry.run("doctor", "--json")
    told = json.loads(done.stdout)
    assert (2, "wrong") == (done.returncode, told["verdict"])
    missing = {one["question"] for one in told["signs"] if "is not defined" in one["seen"]}
    assert {"topic", "mirror", "ftp"} == missing
    assert {"question", "about", "verdict", "seen", "remedy"} == set(told["signs"][0])


def test_a_ledger_of_a_newer_version_is_said_and_left_alone(ferry: FerryBench) -> None:
    open_ledger(ferry.url).close()
    with closing(sqlite3.connect(ferry.folder / "ledger.db")) as raw:
        raw.execute("UPDATE frameferry_alembic_version SET version_num = '9999'")
        raw.commit()
    signs = looked_at(ferry)
    assert "schema 9999" in bad(signs, "ledger")
    assert "Use the Frameferry that made it" in bad(signs, "ledger")
    assert NOT_ASKED in bad(signs, "ftp")
    assert NOT_ASKED in bad(signs, "status")
    assert "" == bad(signs, "topic")


def test_what_status_says_is_said_with_its_alarm(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    with ferry.context() as ctx:
        assert 1 == run_once(ctx)
    assert "" == bad(looked_at(ferry), "status")
    kafka_server.delete_group(f"frameferry.{ferry.name}")
    assert "docs/alarms.md, ledger_doubted" in bad(looked_at(ferry), "status")


def test_records_that_are_dated_ahead_and_a_retention_below_its_alarm_are_said(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    topic = kafka_server.create_topic(config={"retention.ms": "3600000"})
    # More than an hour ahead Kafka refuses by itself.
    soon = round((time.time() + 1800) * 1000)
    kafka_server.produce(topic, [b"later"], timestamp_ms=soon)
    ferry.content["kafka"]["topic"] = topic
    said = bad(looked_at(ferry), "topic")
    assert "over a minute ahead of our clock, in 1 partition" in said
    assert "wrong: records are kept for 60 min, the alarm is due at 12 h before" in said


def test_a_broker_that_says_nothing_is_left_behind_and_hides_no_other(
    ferry: FerryBench, kafka_server: KafkaServer
) -> None:
    with kafka_server.paused():
        signs = looked_at(ferry, seconds=5)
    assert "gave no answer in time" in bad(signs, "topic")
    assert Verdict.OK in {one.verdict for one in of(signs, "ftp")}


def test_an_ftp_servers_clock_and_what_its_account_may_not_are_said(
    ferry: FerryBench, tmp_path: Path
) -> None:
    with odd_server(tmp_path / "root", clock_ahead=7200, permissions="elrafwMT") as server:
        use(ferry, server.port)
        assert "give the account the right to make folders" in bad(looked_at(ferry), "ftp")
    with odd_server(tmp_path / "root", clock_ahead=7200) as server:
        use(ferry, server.port)
        assert "wrong: the server's clock is 120 min ahead of ours" in bad(looked_at(ferry), "ftp")


def test_a_password_that_was_refused_is_not_tried_at_each_look(
    ferry: FerryBench, tmp_path: Path
) -> None:
    open_ledger(ferry.url).close()
    with odd_server(tmp_path / "root") as server, FaultProxy(server) as proxy:
        use(ferry, proxy.port)
        ferry.connections["archive_ftp"]["password"] = "nonsense"
        for _ in range(2):
            assert "wrong" in bad(looked_at(ferry), "ftp")
        assert ["nonsense"] == proxy.verbs("PASS")


def test_a_certificate_that_is_over_or_of_a_stranger_and_tls_that_is_missing_are_said(
    ferry: FerryBench, tmp_path: Path
) -> None:
    authority, other = make_authority(), make_authority()
    for name, one in {"ca.pem": authority, "other.pem": other}.items():
        (tmp_path / name).write_bytes(one.pem)
    expired = authority.sign("ferry", ends_in=-dt.timedelta(days=1))
    (tmp_path / "expired.pem").write_bytes(b"".join(expired))
    (tmp_path / "server.pem").write_bytes(b"".join(authority.sign("ferry")))
    for certificate, trusted in (("expired.pem", "ca.pem"), ("server.pem", "other.pem")):
        tls = {"tls": "explicit", "certificate": str(tmp_path / certificate)}
        with odd_server(tmp_path / "root", **tls) as server:
            use(ferry, server.port, tls="explicit", ca_cert=str(tmp_path / trusted))
            assert "certificate" in bad(looked_at(ferry), "ftp")
    implicit = {"tls": "implicit", "certificate": str(tmp_path / "server.pem")}
    with odd_server(tmp_path / "root", **implicit) as server:
        use(ferry, server.port)
        began = time.monotonic()
        assert "wrong" in bad(looked_at(ferry), "ftp")
        assert time.monotonic() - began < 60


def use(ferry: FerryBench, port: int, **extra: str) -> None:
    ferry.connections["archive_ftp"] |= {
        "port": port,
        "login": USER,
        "password": PASSWORD,
        "extra": {"timeout": 3, **extra},
    }
