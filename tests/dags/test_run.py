"""Whole runs of the DAGs by `dag.test()`, on a real broker and a real FTP server."""

from __future__ import annotations

import json
import os
from contextlib import closing
from typing import Any

import pytest
from fixtures.airflow import labels, run_dag
from fixtures.ferry import delivered_files
from fixtures.outside import Outside

from frameferry.pipeline import steps


def produce(ferry, kafka_server, number: int) -> list[bytes]:
    sent = [f"picture {i}".encode() for i in range(number)]
    topic = ferry.content["kafka"]["topic"]
    kafka_server.produce(topic, sent[::2], partition=0)
    kafka_server.produce(topic, sent[1::2], partition=1)
    return sent


def files(ferry, ftp_server) -> list[bytes]:
    return sorted(delivered_files(ftp_server, ferry.content["deliver"]["base"]).values())


def test_a_run_carries_all_batches_and_is_green(ferry, kafka_server, ftp_server):
    ferry.content["batch"] = {"max_records": 6}
    ferry.write()
    sent = produce(ferry, kafka_server, 12)
    state, states = run_dag(f"ferry__{ferry.name}")
    assert "success" == state
    assert {"success"} == {str(s) for s in states.values()}
    assert {0, 1} == {index for task, index in states if task == "batch.commit"}
    assert sorted(sent) == files(ferry, ftp_server)
    events = asset_events(f"delivered__{ferry.name}")
    assert [{"partition": 0, "from": 0, "to": 3}, {"partition": 1, "from": 0, "to": 3}] in [
        event["ranges"] for event in events
    ]
    wanted = {"batch 1: p0 0-3, p1 0-3", "batch 2: p0 3-6, p1 3-6"}
    assert wanted == labels(f"ferry__{ferry.name}")
    assert [[1], [2]] == sorted(event["batches"] for event in events)


def asset_events(name: str) -> list[dict[str, Any]]:
    """List what the events of an asset say, as Airflow keeps them."""
    from airflow.models.asset import AssetEvent, AssetModel
    from airflow.utils.session import create_session
    from sqlalchemy import select

    query = select(AssetEvent.extra).join(AssetModel, AssetModel.id == AssetEvent.asset_id)
    with create_session() as session:
        return list(session.scalars(query.where(AssetModel.name == name)))


def test_a_run_whose_batch_fails_is_red_although_publish_ran(
    ferry, kafka_server, ftp_server, monkeypatch
):
    produce(ferry, kafka_server, 4)
    broken = {**ferry.connections["archive_ftp"], "password": "wrong"}
    monkeypatch.setenv("AIRFLOW_CONN_ARCHIVE_FTP", json.dumps(broken))
    state, states = run_dag(f"ferry__{ferry.name}")
    assert "failed" == state
    assert "failed" == states["batch.deliver", 0]
    assert "success" == states["publish", -1]
    assert "upstream_failed" == states["verdict", -1]
    assert [] == files(ferry, ftp_server)


def test_a_batch_that_is_split_goes_on_in_the_same_tasks(ferry, kafka_server, ftp_server):
    """The expansion is fixed when it is planned: the pieces are carried by its tasks."""
    sent = produce(ferry, kafka_server, 12)
    with ferry.context() as ctx:
        [planned] = steps.plan(ctx).batch_ids
    kafka_server.delete_records(ferry.content["kafka"]["topic"], {0: 2})
    state, states = run_dag(f"ferry__{ferry.name}")
    assert "success" == state
    assert {"success"} == {str(s) for s in states.values()}
    assert sorted(set(sent) - {sent[0], sent[2]}) == files(ferry, ftp_server)
    told = ferry.json("status", ferry.name)
    assert [0, 6] == [line["committed"] for line in told["partitions"]]
    assert [planned + 1] == [one["batch"] for one in told["open_batches"]]
    ferry.run("gaps", "accept", "1", "--reason", "seen")
    told = ferry.json("status", ferry.name)
    assert [6, 6] == [line["committed"] for line in told["partitions"]]
    assert told["healthy"], told["advice"]


def test_the_replay_form_runs_a_range_again(ferry, kafka_server, ftp_server):
    sent = produce(ferry, kafka_server, 6)
    assert "success" == run_dag(f"ferry__{ferry.name}")[0]
    base = ftp_server.root / ferry.content["deliver"]["base"].strip("/")
    for path in list(base.rglob("*.*")) + [p for p in base.rglob("*") if p.is_file()]:
        path.unlink(missing_ok=True)
    form = {"pipeline": ferry.name, "partition": 0, "from_offset": 0, "to_offset": 3}

    state, states = run_dag("replay", **form, mode="redeliver", dry_run=True)
    assert "success" == state
    assert [] == files(ferry, ftp_server)

    state, states = run_dag("replay", **form, mode="redeliver", dry_run=False)
    assert "success" == state, states
    assert sorted(sent[::2]) == files(ferry, ftp_server)
    with closing(Outside(ferry.url)) as ledger:
        # The user by whom `dag.test()` has its runs triggered.
        assert ["dag_test"] == [row["who"] for row in ledger.of("action", ferry.name)]


def test_the_replay_form_takes_what_a_person_selects(ferry, kafka_server, ftp_server):
    sent = produce(ferry, kafka_server, 6)
    assert "success" == run_dag(f"ferry__{ferry.name}")[0]
    base = ftp_server.root / ferry.content["deliver"]["base"].strip("/")
    for path in [p for p in base.rglob("*") if p.is_file()]:
        path.unlink()
    form = {"pipeline": ferry.name, "dry_run": False}
    for asked in ({"ranges": "0:0-1, 1:1-3"}, {"record": "0:2", "ranges": ""}):
        state, states = run_dag("replay", **form, **asked)
        assert "success" == state, states
    assert sorted([sent[0], sent[3], sent[5], sent[4]]) == files(ferry, ftp_server)


@pytest.mark.parametrize(
    "wrong",
    [
        {"to_offset": 99},
        {"partition": 9},
        {"frm": 3},
        {"last_failed": True},
        {"piece_records": 99_999_999},
        {"record": "0:0"},
        {"from_offset": None},
        {"partition": None, "from_offset": None, "to_offset": None},
    ],
)
def test_the_replay_form_refuses_nonsense_in_its_first_task(ferry, kafka_server, ftp_server, wrong):
    produce(ferry, kafka_server, 2)
    assert "success" == run_dag(f"ferry__{ferry.name}")[0]
    form = {
        "pipeline": ferry.name,
        "partition": 0,
        "from_offset": 0,
        "to_offset": 1,
        "dry_run": False,
    }
    state, states = run_dag("replay", **{**form, **wrong})
    assert "failed" == state
    assert "failed" == states["prepare", -1]


def test_connections_come_through_airflow(ferry):
    from frameferry.config.connections import ftp_connection, kafka_connection
    from frameferry.errors import ConnectionUnresolved
    from frameferry.orchestration.connections import resolve_through_airflow

    found = ftp_connection(resolve_through_airflow("archive_ftp"))
    assert ferry.connections["archive_ftp"]["port"] == found.port
    assert kafka_connection(resolve_through_airflow("plant_kafka")).bootstrap_servers
    with pytest.raises(ConnectionUnresolved, match="no_such_connection"):
        resolve_through_airflow("no_such_connection")
    assert "AIRFLOW_CONN_ARCHIVE_FTP" in os.environ
