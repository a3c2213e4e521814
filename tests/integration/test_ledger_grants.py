"""On PostgreSQL one account migrates, and another one runs with what the page grants it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from fixtures.certificates import make_authority
from fixtures.ferry import FerryBench, bench, delivered_files
from fixtures.ftp import FtpHost
from fixtures.kafka import KafkaServer
from fixtures.postgres import PostgresServer

from frameferry.domain.signs import Verdict
from frameferry.errors import LedgerConflict, LedgerUnavailable
from frameferry.ledger.opening import open_ledger
from frameferry.operations.doctor.book import ledger
from frameferry.operations.replay import carry, plan_replay
from frameferry.operations.selecting import selected
from frameferry.operations.status import status
from frameferry.operations.upkeep import back_up_ledger, prune_ledger, upgrade_ledger
from frameferry.pipeline.run import run_until_caught_up

PAGE = (Path(__file__).parents[2] / "docs/operations.md").read_text(encoding="utf-8")
OWNER, RUNNER = "frameferry_owner", "frameferry_run"
LACKS = {
    "SCHEMA": "REVOKE USAGE ON SCHEMA frameferry",
    "NEXT": "REVOKE USAGE ON ALL SEQUENCES IN SCHEMA frameferry",
    "LAST": "REVOKE SELECT ON ALL SEQUENCES IN SCHEMA frameferry",
    **{
        right: f"REVOKE {right} ON ALL TABLES IN SCHEMA frameferry"
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
    },
}


def documented() -> list[str]:
    """Read the statements of the page."""
    (block,) = re.findall(r"^```sql\n(CREATE ROLE.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return [one.strip() for one in block.split(";") if one.strip()]


def as_user(url: str, user: str) -> str:
    return url.replace("postgres@", f"{user}@")


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    """A database as the page makes it; gone at the end, with its accounts."""
    url = postgres.empty_database()
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in documented():
            connection.execute(statement)
    yield url
    postgres.drop(url)
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        for role in (RUNNER, OWNER):
            connection.execute(f"DROP ROLE {role}")


@pytest.fixture
def ferry(
    tmp_path: Path,
    database: str,
    kafka_server: KafkaServer,
    ftp_server: FtpHost,
    monkeypatch: pytest.MonkeyPatch,
) -> FerryBench:
    """A pipeline whose ledger the owner made, and whose URL is the other account's."""
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", as_user(database, OWNER))
    upgrade_ledger()
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", as_user(database, RUNNER))
    topic = kafka_server.create_topic(partitions=1)
    kafka_server.produce(topic, [b"one", b"", b"three"])
    found = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    found.ledger_url = as_user(database, RUNNER)
    return found


def live(ferry: FerryBench) -> None:
    """Do what a plant does: carry, look, replay, back up, prune."""
    with ferry.context() as ctx:
        run_until_caught_up(ctx)
        assert 3 == status(ctx).counts.records
        span = selected(partition=0, start=0, end=3)
        carry(ctx, plan_replay(ctx, span, mode="reinfer", dry_run=False).batch_ids)
    back_up_ledger(ferry.folder / "backup.db")
    prune_ledger(older_than_seconds=0, folder=ferry.folder / "pruned", who="me")


def test_who_runs_needs_to_read_and_write_rows_only(
    ferry: FerryBench, database: str, ftp_server: FtpHost
) -> None:
    live(ferry)
    assert 2 == len(delivered_files(ftp_server, ferry.content["deliver"]["base"]))
    with psycopg.connect(as_user(database, RUNNER)) as connection:
        for statement in ("CREATE TABLE frameferry.mine (id int)", "DROP TABLE frameferry.record"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)
            connection.rollback()


@pytest.mark.parametrize("right", LACKS)
def test_the_lack_of_a_grant_is_said(ferry: FerryBench, database: str, right: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"{LACKS[right]} FROM {RUNNER}")
    with pytest.raises(LedgerConflict, match="permission denied") as caught:
        live(ferry)
    assert "section Accounts of the ledger" in str(caught.value)


def test_the_doctor_names_the_rights_that_are_missing(ferry: FerryBench, database: str) -> None:
    assert [Verdict.OK] * 2 == [one.verdict for one in ledger()]
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"REVOKE DELETE ON frameferry.current FROM {RUNNER}")
        connection.execute(f"REVOKE INSERT ON frameferry.batch FROM {RUNNER}")
    lacking = [one for one in ledger() if one.verdict is Verdict.WRONG]
    assert ["this account may not INSERT batch, DELETE current"] == [one.seen for one in lacking]
    assert "section Accounts of the ledger" in lacking[0].remedy


def test_who_runs_upgrades_nothing_and_says_who_may(ferry: FerryBench, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("UPDATE frameferry.frameferry_alembic_version SET version_num = '0101'")
    with pytest.raises(LedgerConflict, match="frameferry ledger upgrade"):
        live(ferry)


def test_a_door_that_stays_closed_is_said_with_what_to_check(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    authority = make_authority()
    url = postgres.demand_tls(authority, "ferry_by_tls", "se same")
    open_ledger(url).close()
    other = tmp_path / "other.pem"
    other.write_bytes(make_authority().pem)
    for changed, words in {
        url.replace("se%20same", "nonsense"): "Check user, password and database",
        url.replace("verify-full", "disable"): "the server's pg_hba.conf",
        f"{url.rpartition('=')[0]}={other}": "Check sslmode and sslrootcert",
        f"{url.rpartition('=')[0]}={tmp_path / 'none.pem'}": "Check sslmode and sslrootcert",
        url.replace("/test_", "/not_"): "database in FRAMEFERRY_LEDGER_URL",
    }.items():
        with pytest.raises(LedgerUnavailable, match=words) as caught:
            open_ledger(changed)
        assert "se same" not in str(caught.value)
