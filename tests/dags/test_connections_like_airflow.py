"""A connection read outside Airflow is the one that Airflow reads: both of its forms."""

from __future__ import annotations

import json
import traceback
from typing import Any

import pytest

from frameferry.config.connections import resolve_from_environment
from frameferry.errors import ConnectionMissing

pytestmark = pytest.mark.usefixtures("airflow_home")

EXTRA = {"bootstrap.servers": "k:9092", "n": 5, "deep": {"list": [1, "ü", None]}, "on": True}
URIS = [
    "ftp://",
    "ftp:///",
    "ftp://host",
    "ftp://host/",
    "ftp://host:2121",
    "ftp://:2121",
    "FTP://Host.Example:2121",
    "ftp://user@host",
    "ftp://user:@host",
    "ftp://:password@host",
    "ftp://user:password@host:2121/schema",
    "ftp://us%40er:p%40ss%2Fw%3Ard%23%3F%25@host:21",
    "ftp://%EB%8F%84%EC%9E%A5:%C3%BC+%20@host",
    "ftp://user:pass:word@host",
    "ftp://User:PassWord@HOST",
    "ftp://host/a%2Fb",
    "ftp://host/a/b",
    "ftp://[::1]:2121/x",
    "ftp://user:pw@[2001:db8::1]",
    "ftp://host?passive=false&encoding=cp1252",
    "ftp://host/?tls=explicit&empty=",
    "ftp://host/?ca_cert=%2Fetc%2Fca.pem&a=1&a=2",
    f"kafka:///?__extra__={json.dumps(EXTRA)}",
    "kafka://?bootstrap.servers=a%3A9092%2Cb%3A9092&security.protocol=SASL_SSL",
    "kafka:///?__extra__=",
    "spark-connect://host:15002",
    "spark-connect://sc://host:15002",
    "spark-connect://:token@sc%3A%2F%2FHost:15002",
    "spark://local%5B2%5D",
    "spark://spark%3A%2F%2FMaster:7077",
    "spark://yarn",
    "postgresql://host/db",
    "my-odd-type://host",
    "  ftp://host  ",
]
FIELDS: list[dict[str, Any]] = [
    {},
    {"conn_type": "ftp", "host": "Host.Example", "port": 2121},
    {"conn_type": "ftp", "host": "h", "port": "2121", "login": "u", "password": "p@/:#?% ü"},
    {"conn_type": "ftp", "host": "h", "port": None, "login": None, "password": ""},
    {"conn_type": "ftp", "host": "h", "port": "", "schema": "x", "description": "the archive"},
    {"conn_type": "spark-connect", "host": "sc://h", "port": 15002},
    {"conn_type": "spark", "host": "local[2]"},
    {"conn_type": "postgresql", "host": "h"},
    {"conn_type": "kafka", "extra": EXTRA},
    {"conn_type": "kafka", "extra": json.dumps(EXTRA)},
    {"conn_type": "kafka", "extra": ""},
    {"conn_type": "kafka", "extra": None},
    {"conn_type": "kafka", "extra": {}},
]


def ours(monkeypatch: pytest.MonkeyPatch, text: str) -> tuple[Any, ...]:
    monkeypatch.setenv("AIRFLOW_CONN_IT", text)
    raw = resolve_from_environment("it")
    fields = (raw.conn_type, raw.host, raw.port, raw.login, raw.password, raw.schema)
    return (*fields, dict(raw.extra))


def airflows(text: str) -> tuple[Any, ...]:
    from airflow.sdk import Connection

    text = text.strip()
    if text.startswith("{"):
        found = Connection.from_json(text, conn_id="it")
    else:
        found = Connection.from_uri(text, conn_id="it")
    fields = (found.conn_type, found.host)
    rest = (found.login, found.password, found.schema)
    return (
        *(field or "" for field in fields),
        found.port,
        *(field or "" for field in rest),
        found.extra_dejson,
    )


@pytest.mark.parametrize("uri", URIS)
def test_a_uri_means_what_airflow_takes_it_for(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    assert airflows(uri) == ours(monkeypatch, uri)


@pytest.mark.parametrize("fields", FIELDS)
def test_json_means_what_airflow_takes_it_for(
    monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any]
) -> None:
    text = json.dumps(fields)
    assert airflows(text) == ours(monkeypatch, text)


@pytest.mark.parametrize("uri", URIS)
def test_what_airflow_writes_is_read_back(monkeypatch: pytest.MonkeyPatch, uri: str) -> None:
    from airflow.sdk import Connection

    written = Connection.from_uri(uri.strip(), conn_id="it")
    assert airflows(uri) == ours(monkeypatch, written.as_json())


@pytest.mark.parametrize(
    "text",
    [
        "ftp://host:port",
        "ftp://host:99999",
        '{"conn_type": "ftp", "port": "x"}',
        '{"conn_type": "ftp", "pasword": "x"}',
        "{",
    ],
)
def test_what_airflow_refuses_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        airflows(text)
    with pytest.raises(ConnectionMissing):
        ours(monkeypatch, text)


@pytest.mark.parametrize(
    "extra",
    [
        '{"tls": "explicit", "token": "s3cret"',
        '["s3cret"]',
        '"s3cret"',
        "null",
        " ",
        "tls=explicit&token=s3cret",
    ],
)
@pytest.mark.parametrize("conn_type", ["ftp", "kafka", "spark_connect"])
def test_an_extra_that_is_no_json_mapping_is_refused_and_not_quoted(
    monkeypatch: pytest.MonkeyPatch, conn_type: str, extra: str
) -> None:
    from frameferry.orchestration.connections import resolve_through_airflow

    text = json.dumps({"conn_type": conn_type, "host": "h", "password": "s3cret", "extra": extra})
    monkeypatch.setenv("AIRFLOW_CONN_IT", text)
    for resolve in (resolve_from_environment, resolve_through_airflow):
        with pytest.raises(ConnectionMissing) as caught:
            resolve("it")
        shown = "".join(traceback.format_exception(caught.value))
        assert "'it'" in str(caught.value)
        assert "s3cret" not in shown
