"""Airflow's providers and Frameferry share their connections: one is enough for both."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from fixtures.certificates import make_certificates
from fixtures.ferry import FerryBench, delivered_files
from fixtures.ftp_site import PASSWORD, USER, FtpSite
from fixtures.odd_ftp import odd_server

from frameferry.config.connections import FtpConnection, ftp_connection
from frameferry.ftp.client import connect
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context

pytestmark = pytest.mark.usefixtures("airflow_home")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpSite]:
    with odd_server(tmp_path_factory.mktemp("ftp") / "root") as server:
        yield server


def ours(conn_id: str) -> FtpConnection:
    """The connection as a task resolves it."""
    from frameferry.orchestration.connections import resolve_through_airflow

    return ftp_connection(resolve_through_airflow(conn_id))


@pytest.mark.parametrize("conn_type", ["kafka", "ftp", "spark", "spark_connect"])
def test_each_type_of_connection_has_a_form_of_a_provider_that_is_installed(conn_type: str) -> None:
    from airflow.sdk.providers_manager_runtime import ProvidersManagerTaskRuntime

    hook = ProvidersManagerTaskRuntime().hooks[conn_type]
    assert hook is not None
    assert hook.connection_type == conn_type


def test_what_was_delivered_is_there_for_tasks_that_use_the_providers_hooks(
    ferry: FerryBench, kafka_server: Any, ftp_server: Any
) -> None:
    from airflow.providers.apache.kafka.hooks.client import KafkaAdminClientHook
    from airflow.providers.ftp.hooks.ftp import FTPHook

    from frameferry.orchestration.connections import resolve_through_airflow

    topic, base = ferry.content["kafka"]["topic"], ferry.content["deliver"]["base"]
    kafka_server.produce(topic, [b"\r\n\x00picture"])
    with ferry.context() as opened:
        ctx = Context(opened.settings, opened.ledger, resolve_through_airflow)
        [batch] = steps.plan(ctx).batch_ids
        for step in (steps.infer, steps.deliver, steps.commit):
            step(ctx, batch)
    [(path, content)] = delivered_files(ftp_server, base).items()
    with FTPHook("archive_ftp") as hook:
        received = io.BytesIO()
        hook.retrieve_file(f"{base}/{path}", received)
        assert content == received.getvalue()
        found = hook.list_directory(Path(base, path).parent.as_posix())
        assert [Path(path).name] == [Path(name).name for name in found]
    topics = KafkaAdminClientHook("plant_kafka").get_conn.list_topics(timeout=30).topics
    assert topic in topics


@pytest.mark.parametrize("passive", [None, True, False, "true", "False", "no", "off", "0"])
def test_extras_mean_what_they_mean_to_the_provider(
    server: FtpSite, monkeypatch: pytest.MonkeyPatch, passive: object
) -> None:
    from airflow.providers.ftp.hooks.ftp import FTPHook

    extra = {"encoding": "latin-1"} | ({} if passive is None else {"passive": passive})
    define(monkeypatch, "it", server.port, extra)
    with FTPHook("it") as hook, closing(connect(ours("it"))) as ftp:
        theirs = hook.get_conn()
        assert (theirs.passiveserver, theirs.encoding) == (bool(ftp.passiveserver), ftp.encoding)
        assert theirs.pwd() == ftp.pwd()


def test_extras_of_a_uri_are_understood(server: FtpSite, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = PASSWORD.replace(" ", "%20")
    uri = f"ftp://{USER}:{secret}@127.0.0.1:{server.port}/?passive=false&encoding=latin-1"
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", uri)
    with closing(connect(ours("by_uri"))) as ftp:
        assert ftp.passiveserver is False
        assert ftp.encoding == "latin-1"
        assert ftp.pwd() == "/"


def test_tls_comes_from_the_extras(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca, pem = make_certificates(tmp_path)
    with odd_server(tmp_path / "root", tls="explicit", certificate=str(pem), reuse=True) as host:
        define(monkeypatch, "it", host.port, {"tls": "explicit", "ca_cert": str(ca)})
        with closing(connect(ours("it"))) as ftp:
            assert ftp.is_protected
            assert ftp.pwd() == "/"


def define(
    monkeypatch: pytest.MonkeyPatch, conn_id: str, port: int, extra: dict[str, object]
) -> None:
    fields = {
        "conn_type": "ftp",
        "host": "127.0.0.1",
        "port": port,
        "login": USER,
        "password": PASSWORD,
        "extra": {"timeout": 5, **extra},
    }
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
