"""The monitor's DAG, run as Airflow runs it: it tells what is new once, by a real mail server."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.airflow import run_dag
from fixtures.ferry import FerryBench
from fixtures.kafka import KafkaServer
from fixtures.mail import MailServer, mail_server

from frameferry.domain.status import Unasked
from frameferry.errors import ConfigError, NotTold
from frameferry.operations.monitor.telling import news
from frameferry.pipeline.run import run_until_caught_up

pytestmark = pytest.mark.usefixtures("airflow_home")

SMTP: dict[str, Any] = {
    "notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
    "arguments": {
        "to": "shift@plant.example",
        "subject": "{{ frameferry.subject }}",
        "html_content": "{{ frameferry.html }}",
    },
}


@pytest.fixture
def mail(monkeypatch: pytest.MonkeyPatch) -> Iterator[MailServer]:
    with mail_server() as server:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", server.connection)
        yield server


@pytest.fixture(autouse=True)
def _nothing_was_told_yet(airflow_home: Path) -> None:
    from airflow.utils.session import create_session
    from sqlalchemy import text

    with create_session() as session:
        session.execute(text("DELETE FROM asset_state_store"))


def notify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *entries: dict[str, Any]) -> None:
    path = tmp_path / "notifiers.yaml"
    path.write_text(yaml.safe_dump({"notifiers": list(entries)}))
    monkeypatch.setenv("FRAMEFERRY_NOTIFIERS", str(path))


def look() -> str:
    state, _ = run_dag("monitor")
    return str(state)


def well(ferry: FerryBench, kafka_server: KafkaServer) -> None:
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"x"])
    with ferry.context() as ctx:
        run_until_caught_up(ctx)


def test_a_new_alarm_is_mailed_once_and_once_more_when_it_is_over(
    ferry: FerryBench,
    kafka_server: KafkaServer,
    mail: MailServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notify(tmp_path, monkeypatch, SMTP)
    well(ferry, kafka_server)
    assert look() == "success"
    assert mail.received == []
    with ferry.context() as ctx:
        ctx.ledger.block(ctx.pipeline, reason="530 <b>no</b> entry", digest=None)
        assert look() == look() == "success"
        (one,) = mail.received
        assert one["subject"] == f"Frameferry: {ferry.name}: critical: blocked"
        assert one["to"] == "shift@plant.example"
        assert "530 &lt;b&gt;no&lt;/b&gt; entry. Put it right, then run" in mail.text()
        ctx.ledger.unblock(ctx.pipeline, who="anna")
    assert look() == look() == "success"
    _, over = mail.received
    assert over["subject"] == f"Frameferry: over: 1 alarm of {ferry.name}"


def test_what_could_not_be_mailed_is_mailed_by_the_next_try(
    ferry: FerryBench,
    kafka_server: KafkaServer,
    mail: MailServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notify(tmp_path, monkeypatch, SMTP)
    well(ferry, kafka_server)
    with ferry.context() as ctx:
        ctx.ledger.block(ctx.pipeline, reason="530 no entry", digest=None)
    mail.refuses = 1
    assert look() == look() == "success"
    assert (len(mail.received), mail.refuses) == (1, 0)


def test_a_ledger_that_is_away_is_mailed_once_although_nothing_can_be_written_there(
    ferry: FerryBench,
    mail: MailServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notify(tmp_path, monkeypatch, SMTP)
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", "postgresql://ferry@127.0.0.1:1/ledger")
    assert look() == look() == "success"
    (one,) = mail.received
    assert one["subject"] == f"Frameferry: {ferry.name}: critical: unasked"


def test_a_run_that_fails_is_mailed_to_who_asked_for_that(
    ferry: FerryBench,
    kafka_server: KafkaServer,
    mail: MailServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notify(tmp_path, monkeypatch, {**SMTP, "tells": ["failures"]})
    kafka_server.produce(ferry.content["kafka"]["topic"], [b"x"])
    broken = {**ferry.connections["archive_ftp"], "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE_FTP", json.dumps(broken))
    state, _ = run_dag(f"ferry__{ferry.name}")
    assert state == "failed"
    (one,) = mail.received
    assert one["subject"] == f"Frameferry: a run of {ferry.name} failed"
    assert f"See its tasks in Airflow, and: frameferry status {ferry.name}" in mail.text()
    assert look() == "success"
    assert len(mail.received) == 1, "it asked for failures only"


def test_a_notifier_that_fails_keeps_no_other_from_being_told(
    mail: MailServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frameferry.config.notifiers import notifiers
    from frameferry.orchestration.notifying import tell

    away = MailServer(port=1).connection
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_AWAY", away)
    arguments = {**SMTP["arguments"], "smtp_conn_id": "smtp_away"}
    notify(tmp_path, monkeypatch, {**SMTP, "arguments": arguments}, SMTP)
    told = news({}, [Unasked("press-a", "the ledger stays locked")], datetime.now(UTC))
    with pytest.raises(NotTold, match=r"not told by SmtpNotifier \(ConnectionRefusedError\)"):
        tell(told, notifiers(), {})
    assert len(mail.received) == 1


def test_gauges_go_out_by_airflows_own_metrics(
    ferry: FerryBench, kafka_server: KafkaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk._shared.observability.metrics import stats as backend
    from airflow.sdk.observability import stats
    from airflow.sdk.observability.metrics import stats_utils

    for name in ("_factory", "_backend", "_export_legacy_names"):
        monkeypatch.setattr(backend, name, getattr(backend, name))
    well(ferry, kafka_server)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as statsd:
        statsd.bind(("127.0.0.1", 0))
        statsd.settimeout(10)
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_ON", "True")
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_PORT", str(statsd.getsockname()[1]))
        monkeypatch.setenv("AIRFLOW__METRICS__STATSD_INFLUXDB_ENABLED", "True")
        # As Airflow's task runner does; `dag.test()` keeps what its process began with.
        stats.initialize(factory=stats_utils.get_stats_factory(), export_legacy_names=False)
        assert look() == "success"
        statsd.setblocking(False)
        told = set()
        with suppress(BlockingIOError):
            while True:
                told.add(statsd.recv(65_535).decode())
    prefix = "airflow.frameferry"
    assert f"{prefix}.healthy,pipeline={ferry.name}:1.0|g" in told
    assert f"{prefix}.committed_offset,pipeline={ferry.name},partition=0:1|g" in told
    assert f"{prefix}.alarms,pipeline={ferry.name},kind=blocked,severity=critical:0|g" in told


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"notifier": "no.such.Notifier"}, "there is no notifier no.such.Notifier"),
        ({"notifier": "frameferry.errors.ConfigError"}, "is no notifier of Airflow's"),
        ({**SMTP, "arguments": {"too": "x"}}, "cannot be made with these arguments"),
    ],
)
def test_a_notifier_that_cannot_be_made_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: dict[str, Any], says: str
) -> None:
    from frameferry.config.notifiers import notifiers
    from frameferry.orchestration.notifying import tell

    notify(tmp_path, monkeypatch, entry)
    told = news({}, [Unasked("press-a", "the ledger stays locked")], datetime.now(UTC))
    with pytest.raises(ConfigError, match=says):
        tell(told, notifiers(), {})
