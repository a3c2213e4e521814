"""A firewall that reads along: addresses that it would miss are asked for alone."""

from __future__ import annotations

import socket
from pathlib import Path
from time import sleep
from typing import Any

import pytest
from fixtures.ferry import bench
from fixtures.ferrying import deliver, expected, items, publisher
from fixtures.firewall import Firewall, firewall
from fixtures.ftp import FtpHost
from fixtures.ftp_site import PASSWORD, USER, FtpSite
from fixtures.kafka import KafkaServer
from structlog.testing import capture_logs

from frameferry.config.connections import FtpConnection
from frameferry.errors import DeliveryRefused
from frameferry.ftp.addresses import Addresses
from frameferry.ftp.client import connect
from frameferry.ftp.fitness.checks import Finding
from frameferry.ftp.fitness.endurance import data_addresses
from frameferry.ftp.fitness.sandbox import Sandbox
from frameferry.ftp.transfers import Transfers
from frameferry.operations.status import status
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_batch

FILES = 60


@pytest.fixture(params=[0, 5], ids=["as they come", "within 5 ms"])
def milliseconds(request: pytest.FixtureRequest) -> float:
    """How late a reply may be and share a packet with those before it."""
    return float(request.param)


def deliver_through(site: FtpSite, milliseconds: float, **connection: Any) -> Firewall:
    made = items(FILES, size_bytes=3_000)
    with firewall(site, milliseconds=milliseconds) as (seen, wall):
        # A server that is asked why nobody came says nothing for so long.
        fields = {"timeout_seconds": 1, **connection}
        with publisher(seen.connection(**fields), connections=4) as delivery:
            deliver(delivery, made)
    assert expected(made) == site.visible()
    return wall


@pytest.mark.ftp_ways("none")
@pytest.mark.parametrize(
    "connection",
    [{}, {"pipelining": "safe"}, {"pipelining": "deep"}, {"epsv": False}],
    ids=["by itself", "safe", "deep", "PASV"],
)
def test_an_address_that_is_missed_with_others_is_asked_for_alone(
    server: FtpSite, milliseconds: float, connection: dict[str, Any]
) -> None:
    if server.kind == "pyftpdlib" and connection.get("pipelining") == "deep":
        connection = {}
    wall = deliver_through(server, milliseconds, **connection)
    assert wall.opened >= FILES
    assert wall.missed <= 3 * 4, "two have to be missed; the others were under way"


@pytest.mark.ftp_ways("none")
@pytest.mark.parametrize("pipelining", ["alone", "off"])
def test_what_is_set_so_misses_none(server: FtpSite, milliseconds: float, pipelining: str) -> None:
    wall = deliver_through(server, milliseconds, pipelining=pipelining)
    assert 0 == wall.missed


@pytest.mark.ftp_ways("none")
def test_what_was_learnt_holds_for_the_next_delivery(server: FtpSite) -> None:
    addresses = Addresses()
    with firewall(server, milliseconds=5) as (seen, wall):
        for seed in (1, 2):
            made = items(FILES, size_bytes=3_000, seed=seed)
            before = wall.missed
            connection = seen.connection(timeout_seconds=1)
            with publisher(connection, connections=4, addresses=addresses) as delivery:
                deliver(delivery, made)
            assert addresses.is_alone
    assert 0 < before == wall.missed


@pytest.mark.ftp_ways("none")
def test_ports_that_are_closed_to_all_are_said_and_blamed_on_no_way_of_asking(
    server: FtpSite,
) -> None:
    addresses = Addresses()
    with firewall(server, is_closed=True) as (seen, _):
        connection = seen.connection(timeout_seconds=1)
        with (
            publisher(connection, connections=1, addresses=addresses) as delivery,
            pytest.raises(DeliveryRefused, match="given up"),
        ):
            deliver(delivery, items(1))
    assert not addresses.is_alone


@pytest.mark.ftp_ways("none")
def test_without_a_firewall_addresses_are_asked_for_ahead(server: FtpSite) -> None:
    addresses = Addresses()
    with publisher(server.connection(), connections=4, addresses=addresses) as delivery:
        deliver(delivery, items(FILES))
    assert not addresses.is_alone


@pytest.mark.ftp_ways("none")
def test_probe_tries_both_ways_and_says_what_to_set(server: FtpSite) -> None:
    def found(connection: FtpConnection) -> Finding:
        with Sandbox(lambda: connect(connection), "/", "1") as sandbox:
            sandbox.make_folder()
            return data_addresses(sandbox)

    plain = found(server.connection())
    with firewall(server, milliseconds=5) as (seen, _):
        missed = found(seen.connection(timeout_seconds=1))
        again = found(seen.connection(timeout_seconds=1, pipelining="alone"))
    assert [] == list(server.root.iterdir())
    assert ("note", "extra: pipelining=alone") == (missed.verdict, missed.setting)
    assert "3 of 3 led nowhere" in missed.seen
    assert [("ok", ""), ("ok", "")] == [(one.verdict, one.setting) for one in (plain, again)]
    assert "as is set" in again.seen


@pytest.mark.ftp_ways("none")
def test_an_address_that_leads_somewhere_late_is_missed_too(
    server: FtpSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a first packet is dropped, and let through when it is sent again."""
    reach = Transfers._reach

    def late(ftp: Transfers, address: tuple[str, int]) -> socket.socket:
        if ftp._is_ahead:
            sleep(0.03)
        return reach(ftp, address)

    monkeypatch.setattr(Transfers, "_reach", late)
    addresses = Addresses()
    made = items(12)
    for seconds, is_alone in ((10.0, False), (0.02, True)):
        monkeypatch.setattr("frameferry.ftp.transfers.SLOW_SECONDS", seconds)
        with publisher(server.connection(), connections=1, addresses=addresses) as delivery:
            deliver(delivery, made)
        assert is_alone == addresses.is_alone


@pytest.mark.ftp_ways("none")
def test_it_is_said_once_and_remembered_until_it_is_set(
    server: FtpSite, tmp_path: Path, kafka_server: KafkaServer, ftp_server: FtpHost
) -> None:
    topic = kafka_server.create_topic(partitions=1)
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    ferry.content["batch"] = {"max_records": 20}
    kafka_server.produce(topic, [f"picture {at}".encode() for at in range(60)])
    with firewall(server, milliseconds=5) as (seen, wall), capture_logs() as told:
        ferry.connections["archive_ftp"].update(
            host=seen.host, port=seen.port, login=USER, password=PASSWORD, extra={"timeout": 1}
        )
        with ferry.context() as ctx:
            while batches := steps.plan(ctx).batch_ids:
                for batch in batches:
                    run_batch(ctx, batch)
            missed = wall.missed
            [line] = status(ctx).advice
        assert "Once its extra pipelining is alone" in line
        kafka_server.produce(topic, [b"one more", b"and another"])
        with ferry.context() as ctx:
            [batch] = steps.plan(ctx).batch_ids
            run_batch(ctx, batch)
        ferry.connections["archive_ftp"]["extra"]["pipelining"] = "alone"
        with ferry.context() as ctx:
            assert () == status(ctx).advice
            assert 62 == ctx.ledger.counts(ctx.pipeline).delivered
    assert 0 < missed == wall.missed, "what was learnt was forgotten"
    assert 1 == [one["event"] for one in told].count("addresses.asked_for_alone")
