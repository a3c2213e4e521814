"""The witness and recovery, on a real broker, a real FTP server and both databases."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.ledgers import DATABASES, fresh_database

from frameferry.errors import LedgerOutdated
from frameferry.ledger.backups import back_up
from frameferry.ledger.restoring import restore
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.recover import Decision, recover
from frameferry.pipeline.run import run_until_caught_up
from frameferry.pipeline.status import status

NOTHING = Decision(taken_to={}, send_beyond=False)


@pytest.fixture
def ferry(tmp_path, kafka_server, ftp_server):
    topic = kafka_server.create_topic(partitions=2)
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    ferry.content["batch"] = {"max_records": 10}
    return ferry


@pytest.fixture(params=DATABASES)
def database(request, ferry, tmp_path):
    with fresh_database(request, request.param, tmp_path) as url:
        ferry.ledger_url = url
        yield url


def produce(ferry: FerryBench, kafka_server, first: int, count: int, partition: int = 0) -> None:
    values = [f"picture {partition}-{at}".encode() * 3 for at in range(first, first + count)]
    kafka_server.produce(ferry.content["kafka"]["topic"], values, partition=partition)


def carry(ctx: Context) -> int:
    return run_until_caught_up(ctx, stalled_seconds=5)


def folder(ferry: FerryBench, ftp_server) -> Path:
    return ftp_server.root / ferry.content["deliver"]["base"].strip("/")


def stamps(ferry: FerryBench, ftp_server) -> dict[str, int]:
    """Every file with its inode: a file that was sent again is another."""
    base = folder(ferry, ftp_server)
    return {str(p.relative_to(base)): p.stat().st_ino for p in base.rglob("*") if p.is_file()}


def look_again(ctx: Context, **options) -> object:
    decision = options.pop("decision", NOTHING)
    return recover(ctx, decision, verify=False, dry_run=False, who="anna", **options)


def test_an_older_backup_is_noticed_recovered_and_nothing_is_lost_or_doubled(
    ferry, database, kafka_server, ftp_server, tmp_path
):
    produce(ferry, kafka_server, 0, 15)
    with ferry.context() as ctx:
        carry(ctx)
        back_up(database, tmp_path / "backup.db")
        produce(ferry, kafka_server, 15, 20)
        produce(ferry, kafka_server, 0, 7, partition=1)
        carry(ctx)
        produce(ferry, kafka_server, 35, 4)
        [last] = steps.plan(ctx).batch_ids
        steps.infer(ctx, last)
        steps.deliver(ctx, last)
    before = stamps(ferry, ftp_server)
    assert 46 == len(before)
    restore(database, tmp_path / "backup.db", who="anna", replace=True)
    produce(ferry, kafka_server, 39, 6)
    with ferry.context() as ctx:
        with pytest.raises(LedgerOutdated, match=f"ledger recover {ctx.pipeline}"):
            steps.plan(ctx)
        assert not steps.wait(ctx).now
        found = look_again(ctx)
        assert [24, 7] == [one.seen for one in found.partitions]
        assert steps.wait(ctx).now
        carry(ctx)
        told = status(ctx)
        rows = ctx.ledger.records(ctx.pipeline)
    after = stamps(ferry, ftp_server)
    assert 52 == len(after)
    assert before == {path: after[path] for path in before}, "a file was sent a second time"
    assert [45, 7] == [line["committed"] for line in told["partitions"]]
    assert (52, 52) == (told["records"], told["delivered"])
    assert {(row.partition, row.offset) for row in rows} == {
        *((0, at) for at in range(45)),
        *((1, at) for at in range(7)),
    }
    base = ferry.content["deliver"]["base"]
    assert {row.remote_path.removeprefix(f"{base}/") for row in rows} == set(after)
    assert told["healthy"], told["advice"]
