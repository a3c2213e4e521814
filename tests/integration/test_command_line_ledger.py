"""`frameferry ledger …`, as a person types it."""

from __future__ import annotations

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.ledgers import carried, register
from fixtures.postgres import PostgresServer
from pyarrow import parquet
from sqlalchemy import text

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.engines import make_engine, release
from frameferry.ledger.database.schema import HEAD
from frameferry.ledger.opening import open_ledger


class Nowhere:
    bootstrap_servers = "127.0.0.1:1"


@pytest.fixture
def ferry(tmp_path, ftp_server) -> FerryBench:
    return bench(tmp_path, topic="press-a", kafka=Nowhere(), ftp=ftp_server)


@pytest.fixture
def filled(ferry) -> FerryBench:
    ledger = open_ledger(ferry.url)
    register(ledger)
    batch = carried(ledger, OffsetRange(0, 0, 4))
    ledger.commit(batch.id)
    with ledger._transactions.write() as connection:
        old = text("UPDATE batch SET committed_at = '2020-01-01T00:00:00.000Z'")
        connection.execute(old)
    ledger.close()
    return ferry


def said(done) -> str:
    assert "Traceback" not in done.stderr
    return " ".join((done.stdout + done.stderr).split())


def open_empty(ferry: FerryBench) -> None:
    release(make_engine(ferry.url))


@pytest.mark.parametrize(
    "words",
    [
        ["status"],
        ["backup", "{here}/b.db"],
        ["prune", "--older-than", "90d", "--export", "parquet", "--to", "{here}/exports"],
    ],
)
def test_a_ledger_that_is_not_there_is_not_made(ferry, tmp_path, words):
    """As where its URL has a typing error."""
    ferry.ledger_url = f"sqlite:///{tmp_path}/ledgr/ledgr.db"
    done = ferry.run("ledger", *(word.format(here=tmp_path) for word in words))
    assert 1 == done.returncode
    assert f"there is no ledger at {tmp_path}/ledgr/ledgr.db" in said(done)
    assert not [name for name in ("ledgr", "b.db", "exports") if (tmp_path / name).exists()]


def test_an_empty_database_is_no_ledger_to_back_up(ferry, tmp_path):
    open_empty(ferry)
    done = ferry.run("ledger", "backup", str(tmp_path / "b.db"))
    assert 1 == done.returncode
    assert "there is no ledger in this database" in said(done)
    assert not (tmp_path / "b.db").exists()


def test_upgrade_says_from_where_to_where(ferry):
    open_empty(ferry)
    assert ferry.json("ledger", "status")["version"] is None
    assert "no ledger yet" in said(ferry.run("ledger", "status"))
    assert f"was brought to schema {HEAD}" in said(ferry.run("ledger", "upgrade"))
    assert f"has schema {HEAD} already" in said(ferry.run("ledger", "upgrade"))
    assert HEAD == ferry.json("ledger", "status")["version"]


def test_backup_restore_and_what_comes_next(filled, tmp_path):
    file = tmp_path / "b.db"
    made = filled.json("ledger", "backup", str(file))
    assert (4, HEAD) == (made["rows"]["record"], made["version"])
    again = filled.run("ledger", "backup", str(file))
    assert 1 == again.returncode
    assert "is there already" in said(again)
    refused = filled.run("ledger", "restore", str(file))
    assert 1 == refused.returncode
    assert "--replace" in said(refused)
    done = filled.run("ledger", "restore", str(file), "--replace")
    assert 0 == done.returncode
    assert "next: frameferry ledger recover press-a" in said(done)
    assert ["press-a"] == filled.json("ledger", "status")["to_recover"]
    assert "restored: run frameferry ledger recover press-a" in said(filled.run("ledger", "status"))


def test_prune_writes_files_and_says_how_many(filled, tmp_path):
    to = tmp_path / "exports"
    words = ["ledger", "prune", "--older-than", "90d", "--export", "parquet", "--to", str(to)]
    [pruned] = filled.json(*words)
    assert ("press-a", 1, 4) == (pruned["pipeline"], pruned["batches"], pruned["records"])
    assert 4 == parquet.read_table(pruned["files"][0]).num_rows
    assert [0] == [one["records"] for one in filled.json(*words)]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["prune", "--older-than", "soon", "--export", "parquet"], "'soon' is no age"),
        (["recover", "press-a", "--taken-to", "7"], "not PARTITION:OFFSET"),
        (["recover", "nobody"], "nobody"),
        (["restore", "none.db"], "cannot be read"),
        (["backup", "none/b.db"], "is not there"),
    ],
)
def test_a_persons_mistake_is_one_line(ferry, words, says):
    done = ferry.run("ledger", *words)
    assert 1 == done.returncode
    assert says in said(done)


def test_a_backup_of_postgresql_holds_no_password(
    ferry, tmp_path, postgres_template: PostgresServer
):
    url = postgres_template.copy_template()
    ferry.ledger_url = url.replace("postgres@", "postgres:hunter2@")
    done = ferry.run("ledger", "backup", str(tmp_path / "b.db"))
    assert 0 == done.returncode, done.stderr
    assert "hunter2" not in said(done)
    assert b"hunter2" not in (tmp_path / "b.db").read_bytes()
    postgres_template.drop(url)
