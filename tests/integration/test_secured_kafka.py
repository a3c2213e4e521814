"""A Kafka with log-ins, certificates and access control, for pipelines that judge."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from fixtures.certificates import make_authority
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.ftp import FtpHost
from fixtures.judging import MODEL, surface
from fixtures.secured_kafka import (
    ADOPTING,
    NEEDED,
    OTHERS,
    PASSWORD,
    PLAIN_PASSWORD,
    USEFUL,
    SecuredKafka,
    secured_kafka,
)
from fixtures.spark import SparkServer

from frameferry.config.connections import KafkaConnection
from frameferry.domain.signs import Verdict
from frameferry.errors import ConfigError, ConnectionMissing, FrameferryError, KafkaUnavailable
from frameferry.kafka.cluster import Cluster
from frameferry.operations.adopting.adopt import Decision, adopt
from frameferry.operations.adopting.sources import source_of
from frameferry.operations.audit.auditing import Wish, audit
from frameferry.operations.doctor.diagnosing import diagnose
from frameferry.operations.replay import carry, plan_replay
from frameferry.operations.selecting import selected
from frameferry.pipeline.run import run_once

WAYS: dict[str, Callable[[SecuredKafka], dict[str, Any]]] = {
    "a password by SCRAM": SecuredKafka.scram,
    "a plain password": SecuredKafka.plain,
    "a certificate": SecuredKafka.certificate,
}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured") / "home") as found:
        yield found


@pytest.fixture
def plain(tmp_path: Path, secured: SecuredKafka, ftp_server: FtpHost) -> FerryBench:
    """A pipeline that delivers two pictures, unjudged."""
    topic = secured.server.create_topic(partitions=2)
    for partition in range(2):
        secured.server.produce(topic, [surface(partition)], partition=partition)
    found = bench(tmp_path, topic=topic, kafka=secured.server, ftp=ftp_server)
    found.connections["plant_kafka"]["extra"] = secured.scram()
    return found


@pytest.fixture
def judged(plain: FerryBench) -> FerryBench:
    """The same, judged, by a Spark application of its own unless a test says otherwise."""
    plain.content["model"] = {"path": str(MODEL)}
    plain.connections["spark_default"] = {"conn_type": "spark", "host": "local[2]"}
    return plain


def secrets(extra: dict[str, Any]) -> list[str]:
    """List what must be found nowhere: passwords, and a line out of the middle of a key."""
    return [PASSWORD, PLAIN_PASSWORD, *extra.get("ssl.key.pem", "").splitlines()[1:2]]


def written(*folders: Path) -> bytes:
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return b"".join(path.read_bytes() for path in files)


@pytest.mark.parametrize("way", WAYS)
def test_judged_pictures_come_in_by_each_log_in_and_no_secret_is_written(
    judged: FerryBench,
    secured: SecuredKafka,
    spark_server: SparkServer,
    ftp_server: FtpHost,
    way: str,
) -> None:
    extra = WAYS[way](secured)
    judged.connections["plant_kafka"]["extra"] = extra
    judged.connections["spark_default"] = {"conn_type": "spark_connect", "host": spark_server.url}
    done = judged.run("run", judged.name, "--until-caught-up", seconds=300)
    assert 0 == done.returncode, done.stderr
    sent = delivered_files(ftp_server, judged.content["deliver"]["base"])
    assert [surface(0), surface(1)] == [sent[name] for name in sorted(sent)]
    status = judged.run("status", judged.name)
    shown = f"{done.stdout}{done.stderr}{status.stdout}{status.stderr}".encode()
    logs = spark_server.files.home / "logs"
    shown += written(judged.folder, spark_server.events, logs)
    assert not [secret for secret in secrets(extra) if secret.encode() in shown]


def test_a_spark_application_of_its_own_logs_in_too(
    judged: FerryBench, ftp_server: FtpHost
) -> None:
    done = judged.run("run", judged.name, "--until-caught-up", seconds=300)
    assert 0 == done.returncode, done.stderr
    assert 2 == len(delivered_files(ftp_server, judged.content["deliver"]["base"]))


@pytest.mark.parametrize("right", NEEDED, ids=lambda right: f"{right[0].name} {right[3].name}")
def test_each_right_that_the_documents_ask_for_is_needed_and_its_lack_is_said(
    plain: FerryBench, secured: SecuredKafka, ftp_server: FtpHost, right: tuple[Any, ...]
) -> None:
    with secured.without(right), plain.context() as ctx:
        with pytest.raises(FrameferryError, match="Kafka ACLs") as caught:
            run_once(ctx)
        assert "Let the user of connection 'plant_kafka' do this" in str(caught.value)
    with plain.context() as ctx:
        assert 1 == run_once(ctx)
    assert 2 == len(delivered_files(ftp_server, plain.content["deliver"]["base"]))


def test_adopting_auditing_and_replaying_come_by_the_same_log_in(
    plain: FerryBench, secured: SecuredKafka, ftp_server: FtpHost
) -> None:
    topic = plain.content["kafka"]["topic"]
    secured.server.produce(topic, [surface(2)])
    stopped = [TopicPartition(topic, 0, 1), TopicPartition(topic, 1, 0)]
    secured.server.set_group(OTHERS, stopped)
    plain.content["kafka"]["start"] = "adopt"
    find = source_of(spark_checkpoint=None, group=OTHERS, connect_offsets=None, offsets=None)
    with plain.context() as ctx:
        with pytest.raises(ConfigError, match="Kafka ACLs"):
            adopt(ctx, find, Decision(), dry_run=False, who="ada")
        with secured.besides(ADOPTING):
            adopt(ctx, find, Decision(), dry_run=False, who="ada")
        assert 1 == run_once(ctx)
        audited = audit(ctx, Wish(None, None, sample=2, with_kafka=True, recount=True))
        assert audited.report.is_well
        again = selected(partition=0, start=1, end=2)
        carry(ctx, plan_replay(ctx, again, mode="redeliver", dry_run=False).batch_ids)
    assert 2 == len(delivered_files(ftp_server, plain.content["deliver"]["base"]))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"sasl.password": "nonsense"}, "Check user, password and sasl.mechanism"),
        ({"security.protocol": "PLAINTEXT"}, "It takes connections and answers none"),
        ({"ssl.ca.location": "/etc/hostname"}, "ssl.ca.location"),
    ],
)
def test_the_doctor_says_which_door_is_closed_and_looks_at_the_rest(
    plain: FerryBench,
    secured: SecuredKafka,
    monkeypatch: pytest.MonkeyPatch,
    changes: dict[str, str],
    words: str,
) -> None:
    plain.connections["plant_kafka"]["extra"] = secured.scram(**changes)
    plain.write()
    for name, value in plain.environment().items():
        if name.startswith("FRAMEFERRY_"):
            monkeypatch.setenv(name, value)
    signs = list(diagnose(plain.resolve, airflow={}, seconds=40))
    (topic,) = [one for one in signs if one.question == "topic"]
    assert Verdict.WRONG == topic.verdict
    assert words in f"{topic.seen}. {topic.remedy}"
    assert PASSWORD not in str(signs)
    assert Verdict.OK in {one.verdict for one in signs if one.question == "ftp"}


def test_how_long_kafka_keeps_the_mirror_is_known_to_who_may_ask(secured: SecuredKafka) -> None:
    connection = KafkaConnection(conn_id="plant_kafka", options=secured.scram())
    assert Cluster(connection).offsets_kept_seconds() is None
    with secured.besides(USEFUL):
        assert 7 * 24 * 3600 == Cluster(connection).offsets_kept_seconds()


def refused(secured: SecuredKafka, extra: dict[str, Any], kind: type[FrameferryError]) -> str:
    """Ask with these options; give the error's words, which come before a person gives up."""
    topic = secured.server.create_topic()
    connection = KafkaConnection(conn_id="plant_kafka", options=extra)
    with pytest.raises(kind) as caught:
        Cluster(connection, timeout_seconds=4).view(topic, None)
    assert PASSWORD not in str(caught.value)
    return str(caught.value)


def test_a_wrong_password_or_mechanism_is_told_from_a_broker_that_is_down(
    secured: SecuredKafka,
) -> None:
    for changes in ({"sasl.password": "nonsense"}, {"sasl.mechanism": "SCRAM-SHA-256"}):
        words = refused(secured, secured.scram(**changes), KafkaUnavailable)
        assert "refused the log-in" in words
        assert "Check user, password and sasl.mechanism of connection 'plant_kafka'" in words


def test_a_certificate_that_cannot_be_trusted_is_said(
    secured: SecuredKafka, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority().pem)
    stranger = secured.scram(**{"ssl.ca.location": str(other)})
    assert "Check ssl.ca.location" in refused(secured, stranger, KafkaUnavailable)
    missing = secured.scram(**{"ssl.ca.location": str(tmp_path / "none.pem")})
    assert "ssl.ca.location failed" in refused(secured, missing, ConnectionMissing)


def test_a_certificate_of_the_broker_that_has_expired_is_said(secured: SecuredKafka) -> None:
    expired = secured.authority.sign("broker", ends_in=-dt.timedelta(days=1))
    secured.restart_with(b"".join(expired))
    try:
        words = refused(secured, secured.scram(), KafkaUnavailable)
        assert "whether the broker's certificate is for this host and valid today" in words
    finally:
        secured.restart_with(b"".join(secured.authority.sign("broker")))


@pytest.mark.parametrize("protocol", ["PLAINTEXT", "SSL"])
def test_another_protocol_than_the_door_wants_is_no_hang_and_no_broker_that_is_down(
    secured: SecuredKafka, protocol: str
) -> None:
    words = refused(secured, secured.scram(**{"security.protocol": protocol}), KafkaUnavailable)
    assert "It takes connections and answers none" in words
    assert "security.protocol of connection 'plant_kafka'" in words


def test_tls_at_a_door_without_is_said(secured: SecuredKafka) -> None:
    extra = secured.scram(**{"bootstrap.servers": secured.server.bootstrap_servers})
    assert "Check security.protocol" in refused(secured, extra, KafkaUnavailable)


def test_a_client_without_the_certificate_that_is_asked_for_is_said(secured: SecuredKafka) -> None:
    extra = {
        name: value
        for name, value in secured.certificate().items()
        if name not in {"ssl.certificate.pem", "ssl.key.pem"}
    }
    assert "the ssl options of connection" in refused(secured, extra, KafkaUnavailable)


def test_kerberos_is_said_to_need_another_library(secured: SecuredKafka) -> None:
    words = refused(secured, secured.scram(**{"sasl.mechanism": "GSSAPI"}), ConnectionMissing)
    assert "Kerberos needs a librdkafka of your own" in words


def test_a_right_that_is_missing_is_an_error_of_configuration(secured: SecuredKafka) -> None:
    with secured.without(NEEDED[0]):
        words = refused(secured, secured.scram(), ConfigError)
    assert "Topic authorization failed" in words
