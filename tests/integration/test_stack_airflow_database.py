"""Airflow's own commands make its database ready, and only where there is something to do."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing

import pytest

from frameferry.errors import StackError
from frameferry.stack import airflow_database, layout

POOLS = {"spark": 2, "ftp__archive_ftp": 8}


def airflow(database, *arguments):
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(database.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
    }
    argv = [layout.program("airflow"), *arguments]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=240, check=False)
    assert 0 == done.returncode, done.stderr
    return done.stdout


def query(database, sql):
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(sql).fetchall()


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "airflow" / "airflow.db"
    airflow_database.prepare(path, POOLS)
    return path


def test_airflow_itself_finds_the_schema_current_and_the_pools(database):
    airflow(database, "db", "check-migrations", "--migration-wait-timeout", "0")
    listed = json.loads(airflow(database, "pools", "list", "--output", "json"))
    slots = {pool["pool"]: int(pool["slots"]) for pool in listed}
    assert {"default_pool": 128, **POOLS} == slots
    assert {"false"} == {str(pool["include_deferred"]).lower() for pool in listed}


def test_a_second_start_changes_slots_and_keeps_the_rest(database):
    query(database, "INSERT INTO job (state, job_type) VALUES ('running', 'SchedulerJob')")
    airflow_database.prepare(database, {"spark": 3, "ftp__other": 8})
    assert [
        ("default_pool", 128),
        ("ftp__archive_ftp", 8),
        ("ftp__other", 8),
        ("spark", 3),
    ] == query(database, "SELECT pool, slots FROM slot_pool ORDER BY pool")
    assert [("running",)] == query(database, "SELECT state FROM job")


def test_where_nothing_is_new_no_command_runs(database, monkeypatch):
    monkeypatch.setattr(layout, "program", lambda name: f"/no/such/{name}")
    airflow_database.prepare(database, POOLS)
    with pytest.raises(StackError, match="airflow pools import did not end"):
        airflow_database.set_pools(database, {**POOLS, "spark": 3})


def test_a_database_that_is_none_is_said(tmp_path):
    broken = tmp_path / "airflow.db"
    broken.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StackError, match=r"airflow pools import failed on .*airflow.db"):
        airflow_database.set_pools(broken, POOLS)


def test_an_older_database_is_migrated(database):
    current = query(database, "SELECT version_num FROM alembic_version")
    database.unlink()
    airflow(database, "db", "migrate", "--to-version", "3.2.0")
    database.with_name("airflow.db.json").write_text('{"version": "3.2.0"}')
    assert current != query(database, "SELECT version_num FROM alembic_version")
    airflow_database.prepare(database, POOLS)
    assert current == query(database, "SELECT version_num FROM alembic_version")


def test_a_failing_migration_shows_what_airflow_said(tmp_path):
    broken = tmp_path / "airflow.db"
    broken.write_bytes(b"this is no database, whatever its name says" * 100)
    with pytest.raises(StackError, match="airflow db migrate failed"):
        airflow_database.prepare(broken, POOLS)
