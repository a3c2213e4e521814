"""What the kafka package knows without a broker: names and censuses."""

from __future__ import annotations

import hashlib

import pytest
from confluent_kafka import KafkaError, ThrottleEvent, Uuid
from fixtures.log import PlantLog
from fixtures.log_clients import LogCluster

from frameferry.config.connections import KafkaConnection
from frameferry.domain.census import CensusTaker
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import Census
from frameferry.errors import (
    ConfigError,
    ConnectionMissing,
    Coordinates,
    FrameferryError,
    KafkaUnavailable,
    TopicMissing,
)
from frameferry.kafka.client import Listener, open_admin, redacted
from frameferry.kafka.headers import named_headers, source_name
from frameferry.kafka.throttling import Throttling

RANGE = OffsetRange(3, 10, 20)


def connection(**options: str) -> KafkaConnection:
    dotted = {name.replace("_", "."): value for name, value in options.items()}
    return KafkaConnection(
        conn_id="plant_kafka", options={"bootstrap.servers": "127.0.0.1:9092", **dotted}
    )


def test_a_broker_that_gives_topics_no_ids_is_refused() -> None:
    log = PlantLog()
    log.create_topic("press.images")
    cluster = LogCluster(log, connection())
    assert log.topics["press.images"].topic_id == cluster.view("press.images", None).topic_id
    log.topics["press.images"].topic_id = str(Uuid(0, 0))
    with pytest.raises(ConfigError, match=r"'press.images' no id.* from 2.8 on"):
        cluster.view("press.images", None)


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        (None, None),
        ([], None),
        ([("uuid", b"1")], None),
        ([("filename", None)], None),
        ([("filename", b"")], ""),
        ([("uuid", b"1"), ("filename", "도장 3라인.jpg".encode())], "도장 3라인.jpg"),
        ([("filename", b"first.jpg"), ("filename", b"second.jpg")], "first.jpg"),
        ([("filename", b"\xff\xfe.jpg")], "\ufffd\ufffd.jpg"),
        ([("filename", b"a\0b.jpg")], "a\ufffdb.jpg"),
        ([("filename", "text.jpg")], "text.jpg"),
    ],
)
def test_any_headers_give_a_name_or_none(
    headers: list[tuple[str, bytes | str | None]] | None, name: str | None
) -> None:
    assert source_name(headers, "filename") == name


def test_only_the_headers_asked_for_are_read_and_only_those_that_are_there() -> None:
    headers = [("line", b"3"), ("line", b"4"), ("lot", None), ("secret", b"x"), ("shift", b"\xff")]
    assert (("shift", "\ufffd"), ("line", "3")) == named_headers(
        headers, ["shift", "lot", "recipe", "line"]
    )
    assert () == named_headers(None, ["line"])


def test_a_census_counts_and_digests_what_was_met() -> None:
    taker = CensusTaker(RANGE)
    for offset in (10, 12, 17):
        taker.meet(offset)
    assert not taker.is_whole
    assert taker.census().seen_to == 18
    taker.reach(25)
    assert taker.is_whole
    digest = hashlib.sha256(b"10\n12\n17\n").hexdigest()
    assert taker.census() == Census(3, 10, 20, seen_to=20, count=3, digest=digest)


def test_a_range_of_markers_only_has_an_empty_census() -> None:
    taker = CensusTaker(RANGE)
    taker.reach(20)
    assert taker.census() == Census(3, 10, 20, 20, 0, hashlib.sha256().hexdigest())


def test_a_position_never_goes_back() -> None:
    taker = CensusTaker(RANGE)
    taker.reach(15)
    taker.reach(-1001)
    assert taker.position == 15


@pytest.mark.parametrize("offset", [9, 13, 14, 20])
def test_a_census_refuses_what_lies_outside_the_range_or_behind(offset: int) -> None:
    taker = CensusTaker(RANGE)
    taker.meet(14)
    with pytest.raises(ValueError, match=f"offset {offset} met at position 15"):
        taker.meet(offset)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"foo_bar": "x"}, 'No such configuration property: "foo.bar"'),
        ({"security_protocol": "NO"}, 'Invalid value "NO"'),
        ({"ssl_ca_location": "/no/such.pem", "security_protocol": "ssl"}, "ssl.ca.location failed"),
    ],
)
def test_options_that_make_no_sense_name_their_connection(
    options: dict[str, str], named: str
) -> None:
    broken = connection(**options)
    with pytest.raises(ConnectionMissing) as caught:
        open_admin(broken, Listener(broken))
    assert named in str(caught.value)
    assert "'plant_kafka'" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        (KafkaError.UNKNOWN_TOPIC_OR_PART, TopicMissing, "Create it"),
        (KafkaError.TOPIC_AUTHORIZATION_FAILED, ConfigError, "connection 'plant_kafka' do this"),
        (KafkaError.TOPIC_EXCEPTION, ConfigError, "Mend kafka.topic"),
        (KafkaError.UNKNOWN_MEMBER_ID, KafkaUnavailable, "Stop the consumers"),
        (KafkaError.NETWORK_EXCEPTION, KafkaUnavailable, ""),
    ],
)
def test_a_no_becomes_its_meaning_and_says_of_what(
    code: int, kind: type[FrameferryError], advice: str
) -> None:
    listener = Listener(connection())
    error = listener.translated(KafkaError(code, "no"), "reading", topic="t", partition=3)
    assert (kind, "reading: no") == (type(error), error.what)
    assert advice in error.remedy
    assert bool(advice) == bool(error.remedy)
    assert error.where == Coordinates(topic="t", partition=3)


@pytest.mark.parametrize("is_held_back", [True, False])
def test_no_answer_says_to_what(is_held_back: bool) -> None:
    throttling = Throttling()
    if is_held_back:
        throttling.note(ThrottleEvent("b", 1, 0.001))
    error = Listener(connection(), throttling).unavailable(None, 5, topic="t", offset=7)
    assert is_held_back == ("quota" in error.remedy)
    assert error.where == Coordinates(topic="t", offset=7)


def test_secrets_are_taken_out_of_what_the_client_says() -> None:
    secretive = connection(sasl_password="hush", sasl_username="ferry", ssl_key_password="")
    assert redacted("ferry said hush", secretive) == "ferry said ***"
