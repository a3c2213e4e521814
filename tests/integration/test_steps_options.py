"""Options of delivery that people expect, from the pipeline's file to the files on the server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.ftp_proxy import FaultProxy
from fixtures.odd_ftp import odd_server

from frameferry.errors import DeliveryRefused
from frameferry.pipeline import steps
from frameferry.pipeline.run import run_batch, run_until_caught_up

VALUES = [f"picture {number}".encode() for number in range(5)]


@pytest.fixture
def ferry(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> FerryBench:
    topic = kafka_server.create_topic()
    headers = [[("filename", f"{number}.jpg".encode())] for number in range(5)]
    kafka_server.produce(topic, VALUES, headers=headers)
    made = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    made.content["deliver"]["name"] = "x/{stem}_{partition}-{offset}{suffix}"
    return made


def files(ferry: FerryBench, ftp: Any) -> dict[str, bytes]:
    return delivered_files(ftp, ferry.content["deliver"]["base"])


def test_a_sidecar_beside_each_picture(ferry, ftp_server):
    ferry.content["deliver"]["sidecar"] = "json"
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        assert 5 == ctx.ledger.counts(ctx.pipeline).delivered
    found = files(ferry, ftp_server)
    assert 10 == len(found)
    for number, value in enumerate(VALUES):
        name = f"x/{number}_0-{number}.jpg"
        said = json.loads(found[f"{name}.json"])
        assert value == found[name]
        assert (name[2:], "unjudged", number) == (said["image"], said["label"], said["offset"])
        assert f"{number}.jpg" == said["source_name"]


def test_a_setting_that_changes_between_two_attempts_is_no_trouble(ferry, ftp_server):
    ferry.content["deliver"]["sidecar"] = "json"
    with ferry.context() as ctx:
        [batch_id] = steps.plan(ctx).batch_ids
        steps.infer(ctx, batch_id)
        die_before_the_receipts(ferry, ctx, batch_id)
    ferry.content["deliver"]["sidecar"] = "none"
    with ferry.context() as ctx:
        run_batch(ctx, batch_id)
        assert 5 == ctx.ledger.counts(ctx.pipeline).delivered
    found = files(ferry, ftp_server)
    pictures = {name: value for name, value in found.items() if not name.endswith(".json")}
    assert VALUES == [pictures[f"x/{number}_0-{number}.jpg"] for number in range(5)]
    assert not [name for name in found if name.endswith(".part")]


def die_before_the_receipts(ferry, ctx, batch_id) -> None:
    """Deliver as an attempt that dies once its intents stand."""

    class Death(BaseException):
        pass

    def die(*_: Any) -> None:
        raise Death

    whole = ctx.ledger.record_receipts
    ctx.ledger.record_receipts = die
    try:
        with pytest.raises(Death):
            steps.deliver(ctx, batch_id)
    finally:
        ctx.ledger.record_receipts = whole


def test_parts_without_a_leading_dot_for_servers_that_refuse_it(ferry, tmp_path):
    ferry.content["deliver"]["part_name"] = "suffix"
    with (
        odd_server(tmp_path / "root", refuse=r"/\.[^/]*$") as server,
        FaultProxy(server) as proxy,
    ):
        at(ferry, proxy.port)
        with ferry.context() as ctx:
            run_until_caught_up(ctx)
        assert sorted(VALUES) == sorted(server.visible().values())
        assert all(path.endswith(".part") for path in proxy.verbs("STOR"))


def test_folders_that_somebody_else_makes(ferry, tmp_path):
    ferry.content["deliver"]["create_folders"] = False
    with (
        odd_server(tmp_path / "root") as server,
        FaultProxy(server) as proxy,
        ferry.context() as ctx,
    ):
        at(ferry, proxy.port)
        with pytest.raises(DeliveryRefused, match=r"folder /.*/x is not there"):
            run_until_caught_up(ctx)
        (server.root / ferry.content["deliver"]["base"].strip("/") / "x").mkdir(parents=True)
        ctx.ledger.unblock(ctx.pipeline, who="a person")
        run_until_caught_up(ctx)
        assert sorted(VALUES) == sorted(server.visible().values())
        assert [] == proxy.verbs("MKD")


def at(ferry: FerryBench, port: int) -> None:
    ferry.connections["archive_ftp"] |= {
        "port": port,
        "login": "ferry",
        "password": "open sesame",
    }
