"""Connections from the environment, and what becomes of their fields."""

from __future__ import annotations

import json
import traceback
from typing import Any
from urllib.parse import quote

import pytest

from frameferry.config.connections import (
    FtpConnection,
    ftp_connection,
    kafka_connection,
    resolve_from_environment,
    spark_connection,
)
from frameferry.config.raw import RawConnection
from frameferry.config.secrets import is_secret_option, struck
from frameferry.errors import ConnectionMissing

SECRET = "s3cr3t"


def resolved(monkeypatch: pytest.MonkeyPatch, text: str) -> RawConnection:
    monkeypatch.setenv("AIRFLOW_CONN_IT", text)
    return resolve_from_environment("it")


def refusal(raw: Any, understand: Any) -> str:
    with pytest.raises(ConnectionMissing) as caught:
        understand(raw)
    assert SECRET not in "".join(traceback.format_exception(caught.value))
    return caught.value.what


def ftp(**fields: Any) -> FtpConnection:
    return ftp_connection(RawConnection("it", "ftp", **{"host": "ftp.example", **fields}))


# -- the environment


def test_a_uri(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = resolved(monkeypatch, "ftp://us%40er:p%40ss%2Fw%3Ard@ftp.example:2121/in?tls=explicit")
    assert (
        RawConnection(
            "it", "ftp", "ftp.example", 2121, "us@er", "p@ss/w:rd", "in", {"tls": "explicit"}
        )
        == raw
    )


@pytest.mark.parametrize(
    "password", ["?S3cret!", "2024#S3cret", "S3/cret", "12?S3=cret", "#S3cret"]
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, password: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IT", f"ftp://ferry:{password}@ftp.example")
    with pytest.raises(ConnectionMissing) as caught:
        resolve_from_environment("it")
    assert "cret" not in str(caught.value)


def test_json(monkeypatch: pytest.MonkeyPatch) -> None:
    text = json.dumps(
        {"conn_type": "ftp", "host": "ftp.example", "port": "2121", "login": "u", "password": "#/@"}
    )
    assert RawConnection("it", "ftp", "ftp.example", 2121, "u", "#/@") == resolved(
        monkeypatch, text
    )


def test_the_variable_is_the_id_in_capitals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_PLANT_KAFKA", "kafka://k:9092")
    assert resolve_from_environment("plant_kafka").host == "k"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_a_variable_that_is_not_set_names_itself(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IT", text)
    with pytest.raises(ConnectionMissing, match="Set AIRFLOW_CONN_IT to a URI or JSON"):
        resolve_from_environment("it")


@pytest.mark.parametrize(
    "text",
    [
        f"{{{SECRET}",
        f'{{"password": "{SECRET}", "pasword": 1}}',
        f'{{"password": "{SECRET}", "port": "{SECRET}"}}',
        f'{{"password": "{SECRET}", "extra": "{SECRET}"}}',
        f'{{"password": "{SECRET}", "extra": ["{SECRET}"]}}',
        f"ftp://user:{SECRET}#1@host",
        f"ftp://user:12/{SECRET}@host:port",
        f"ftp://user:{SECRET}@host:99999",
        f"ftp://[{SECRET}",
        f"user:{SECRET}@host",
        f"spark_connect://:{SECRET}@host",
        f"ftp://h/?__extra__={SECRET}",
        SECRET,
    ],
)
def test_nonsense_is_refused_without_quoting_it(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_IT", text)
    what = refusal("it", resolve_from_environment)
    assert "neither a URI nor JSON" in what


def test_a_connection_never_shows_its_secrets() -> None:
    raw = RawConnection("it", "ftp", "h", password=SECRET, extra={"token": SECRET})
    shown = [
        raw,
        ftp(password=SECRET),
        kafka_connection(RawConnection("it", "kafka", "k", extra={"sasl.password": SECRET})),
        spark_connection(
            RawConnection("it", "spark", "s", password=SECRET, extra={"conf": {"x": SECRET}})
        ),
    ]
    for one in shown:
        assert SECRET not in repr(one)
        assert SECRET not in str(one)


# -- Kafka


@pytest.mark.parametrize(
    ("host", "port", "extra", "expected"),
    [
        ("", None, {"bootstrap.servers": "a:1,b:2"}, "a:1,b:2"),
        ("k", 9094, {}, "k:9094"),
        ("k", None, {}, "k:9092"),
        ("::1", 9094, {}, "[::1]:9094"),
        ("k", 9094, {"bootstrap.servers": "a:1"}, "a:1"),
    ],
)
def test_where_kafka_is(host: str, port: Any, extra: dict[str, Any], expected: Any) -> None:
    raw = RawConnection("it", "kafka", host, port, extra=extra)
    assert expected == kafka_connection(raw).bootstrap_servers


def test_kafka_keeps_librdkafkas_options_with_their_types() -> None:
    extra = {
        "bootstrap.servers": "k:1",
        "security.protocol": "SSL",
        "fetch.min.bytes": 5,
        "x": True,
    }
    assert extra == kafka_connection(RawConnection("it", "kafka", extra=extra)).options


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, "must hold bootstrap.servers"),
        ({"bootstrap.servers": ""}, "must hold bootstrap.servers"),
        ({"bootstrap.servers": "k:1", "enable.auto.commit": True}, "enable.auto.commit"),
        ({"bootstrap.servers": "k:1", "enable.auto.commit": "True"}, "enable.auto.commit"),
        ({"bootstrap.servers": "k:1", "sasl.password": [SECRET]}, "sasl.password"),
    ],
)
def test_kafka_extras_that_are_refused(extra: dict[str, Any], expected: Any) -> None:
    assert expected in refusal(RawConnection("it", "kafka", extra=extra), kafka_connection)


# -- FTP


def test_ftp_defaults() -> None:
    found = ftp()
    assert (found.host, found.port, found.user, found.tls) == (
        "ftp.example",
        21,
        "anonymous",
        "none",
    )
    assert (
        found.verify,
        found.passive,
        found.encoding,
        found.timeout_seconds,
    ) == (True, True, "utf-8", 30)


def test_implicit_tls_has_a_port_of_its_own() -> None:
    assert ftp(extra={"tls": "implicit"}).port == 990
    assert ftp(port=2121, extra={"tls": "implicit"}).port == 2121


def test_texts_of_a_uri_become_what_they_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = resolved(
        monkeypatch,
        "ftp://h/?passive=false&verify=0&tls=explicit&timeout=7.5&encoding=cp1252&ca_cert=%2Fca.pem",
    )
    found = ftp_connection(raw)
    assert (
        found.passive,
        found.verify,
        found.timeout_seconds,
        found.encoding,
        found.ca_cert,
    ) == (False, False, 7.5, "cp1252", "/ca.pem")


def test_what_airflows_form_leaves_behind_is_let_be() -> None:
    assert ftp(extra={"extra__ftp__secret": "x"}).tls == "none"


@pytest.mark.parametrize(
    ("conn_type", "fields", "expected"),
    [
        ("ftp", {"host": ""}, "host"),
        ("ftp", {"extra": {"tsl": "explicit"}}, "unknown key tsl"),
        ("ftp", {"extra": {"password": SECRET}}, "unknown key password"),
        ("ftp", {"extra": {"tls": "yes"}}, "tls"),
        ("ftp", {"extra": {"timeout": 0}}, "timeout_seconds"),
        ("ftp", {"extra": {"encoding": "klingon"}}, "encoding"),
        ("ftp", {"port": 70000}, "port"),
        ("ftps", {}, "explicit or implicit"),
        ("sftp", {}, "type sftp, not ftp"),
    ],
)
def test_ftp_connections_that_are_refused(
    conn_type: Any, fields: dict[str, Any], expected: Any
) -> None:
    raw = RawConnection("it", conn_type, **{"host": "h", "password": SECRET, **fields})
    assert expected in refusal(raw, ftp_connection)


def test_ftps_with_its_kind_of_tls_is_ftp() -> None:
    raw = RawConnection("it", "ftps", "h", extra={"tls": "explicit"})
    assert ftp_connection(raw).tls == "explicit"


def test_the_destination_holds_no_secret() -> None:
    assert (
        ftp(host="::1", port=2121, login="u", password=SECRET).destination == "ftp://u@[::1]:2121"
    )


CHANGES: list[dict[str, Any]] = [
    {"host": "other.example"},
    {"port": 2121},
    {"login": "other"},
    {"password": "other"},
    {"extra": {"tls": "explicit"}},
    {"extra": {"verify": False}},
    {"extra": {"ca_cert": "/ca.pem"}},
]


def test_the_digest_changes_with_everything_that_a_log_in_depends_on() -> None:
    digests = [
        ftp(password=SECRET).digest,
        *(ftp(**{"password": SECRET, **c}).digest for c in CHANGES),
    ]
    assert len(CHANGES) + 1 == len(set(digests))
    assert all(len(digest) == 64 and SECRET not in digest for digest in digests)


def test_the_digest_changes_with_nothing_else() -> None:
    plain = FtpConnection(conn_id="a", host="h")
    assert (
        plain.digest
        == FtpConnection(conn_id="b", host="h", timeout_seconds=5, passive=False).digest
    )


# -- Spark


@pytest.mark.parametrize(
    ("conn_type", "host", "port", "expected"),
    [
        ("spark_connect", "localhost", None, "sc://localhost:15002"),
        ("spark_connect", "localhost", 15003, "sc://localhost:15003"),
        ("spark_connect", "sc://spark", 15003, "sc://spark:15003"),
        ("spark_connect", "sc://spark:15003", None, "sc://spark:15003"),
        ("spark_connect", "sc://spark:15003/", None, "sc://spark:15003"),
        ("spark_connect", "::1", None, "sc://[::1]:15002"),
        ("spark", "sc://spark", None, "sc://spark:15002"),
        ("spark", "local", None, "local"),
        ("spark", "local[2]", None, "local[2]"),
        ("spark", "local[*]", None, "local[*]"),
        ("spark", "local-cluster[2,1,1024]", None, "local-cluster[2,1,1024]"),
        ("spark", "yarn", None, "yarn"),
        ("spark", "localhost", 7077, "spark://localhost:7077"),
        ("spark", "localhost", None, "spark://localhost:7077"),
        ("spark", "spark-master", 7078, "spark://spark-master:7078"),
        ("spark", "spark://spark-master", 7077, "spark://spark-master:7077"),
        ("spark", "spark://a:7077,b:7077", None, "spark://a:7077,b:7077"),
        ("spark", "k8s://https://api.example", 6443, "k8s://https://api.example:6443"),
        ("", "yarn.example", None, "spark://yarn.example:7077"),
    ],
)
def test_where_spark_is(conn_type: Any, host: str, port: Any, expected: Any) -> None:
    found = spark_connection(RawConnection("it", conn_type, host, port))
    assert expected == found.url
    assert expected.startswith("sc://") == found.is_connect


def test_sparks_options_are_written_in_its_own_words() -> None:
    conf = {"spark.executor.instances": 2, "spark.x": True, "spark.y": 0.5, "spark.z": "z"}
    found = spark_connection(RawConnection("it", "spark", "yarn", extra={"conf": conf}))
    assert found.conf == {
        "spark.executor.instances": "2",
        "spark.x": "true",
        "spark.y": "0.5",
        "spark.z": "z",
    }


def test_a_token_comes_from_the_password_or_the_extra() -> None:
    for raw in (
        RawConnection("it", "spark_connect", "s", password=SECRET),
        RawConnection("it", "spark_connect", "s", extra={"token": SECRET}),
    ):
        token = spark_connection(raw).token
        assert token is not None
        assert token.get_secret_value() == SECRET
    assert spark_connection(RawConnection("it", "spark_connect", "s")).token is None


@pytest.mark.parametrize(
    ("host", "extra", "expected"),
    [
        ("", {}, "has no host"),
        ("sc://s:15002/;token=" + SECRET, {}, "the token is the password"),
        ("s", {"conf": "spark.x=1"}, "conf"),
        ("s", {"conf": {"spark.x": [SECRET]}}, "conf.spark.x"),
    ],
)
def test_spark_connections_that_are_refused(
    host: str, extra: dict[str, Any], expected: Any
) -> None:
    raw = RawConnection("it", "spark_connect", host, extra=extra)
    assert expected in refusal(raw, spark_connection)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sasl.password", True),
        ("ssl.key.password", True),
        ("sasl.jaas.config", True),
        ("sasl.oauthbearer.client.secret", True),
        ("kafka.ssl.truststore.PASSWORD", True),
        ("bootstrap.servers", False),
        ("sasl.username", False),
    ],
)
def test_which_options_are_never_shown(name: str, expected: Any) -> None:
    assert expected == is_secret_option(name)


ODD = 'hun"t\\er/2@ <'


@pytest.mark.parametrize(
    "text",
    [ODD, json.dumps({"password": ODD}), repr({"password": ODD}), quote(ODD, safe="")],
)
def test_a_secret_is_struck_out_however_it_is_spelt(text: str) -> None:
    cleared = struck(f"no: {text}", ["", ODD])
    assert "***" in cleared
    assert "er" not in cleared.replace("password", "").replace("***", "")
