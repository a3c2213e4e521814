"""
Airflow's metadata in SQLite, made ready in milliseconds instead of a dozen seconds.

Migrating an empty database and each `airflow` command take seconds of imports. So an empty migrated
database is made once, with Airflow's own command, and copied from the cache; and the two small
things to be done at each start (pools, ending the jobs of killed processes) are done in SQL.
The version of Airflow is pinned, and a test holds this module against Airflow's own commands.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

from frameferry.errors import StackError
from frameferry.stack import layout

_MIGRATE_TIMEOUT_SECONDS = 600
_BUSY_SECONDS = 30


def task_states(database: Path) -> dict[str, int]:
    """Count tasks by state, from beside; empty where the database is not there, or is busy."""
    query = "SELECT coalesce(state, 'none'), count(*) FROM task_instance GROUP BY 1"
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return dict(connection.execute(query).fetchall())
    except sqlite3.Error:
        return {}


def prepare(database: Path, pools: Mapping[str, int]) -> None:
    """
    Bring the database to this Airflow's schema, with these pools and no living job.

    Call it only while no process of this Airflow lives: all jobs that seem to run are ended, so
    that the new scheduler adopts their tasks at once, not after their heartbeats have run out.

    Raises:
        StackError: Airflow cannot migrate it.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    model = template()
    if not database.exists():
        _copy(model, database)
    elif _revision(database) != _revision(model):
        _migrate(database)
    _end_jobs(database)
    set_pools(database, pools)


def set_pools(database: Path, pools: Mapping[str, int]) -> None:
    """
    Make these pools, or give them these slots; harmless while Airflow runs.

    Raises:
        StackError: The database cannot be written.
    """
    try:
        _set_pools(database, pools)
    except sqlite3.Error as error:
        msg = f"the pools cannot be made in {database}: {error}"
        raise StackError(msg, remedy="Try again") from error


def template() -> Path:
    """
    Return an empty migrated database from the cache; make it at the first call.

    Raises:
        StackError: Airflow cannot make it.
    """
    path = layout.cache() / f"airflow-{version('apache-airflow-core')}.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".airflow-") as work:
            draft = Path(work) / "airflow.db"
            _migrate(draft)
            _copy(draft, path)
    return path


def _copy(source: Path, target: Path) -> None:
    """Copy a database whole, under its final name only when it is."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(draft)) as new:
        old.backup(new)
    draft.replace(target)


def _migrate(database: Path) -> None:
    """Let Airflow migrate, with a home beside the database, so that no one else's is read."""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(database.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
    }
    try:
        done = subprocess.run(
            [layout.program("airflow"), "db", "migrate"],
            env=env,
            capture_output=True,
            text=True,
            timeout=_MIGRATE_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"airflow db migrate did not end: {error}"
        raise StackError(msg, remedy="Install the pinned requirements, then try again") from error
    if done.returncode != 0:
        end = "\n".join(done.stderr.splitlines()[-15:])
        msg = "airflow db migrate failed"
        raise StackError(msg, remedy=f"It said:\n{end}")


def _revision(database: Path) -> str:
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        try:
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError:
            return ""
    return str(row[0]) if row else ""


def _set_pools(database: Path, pools: Mapping[str, int]) -> None:
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection, connection:
        connection.executemany(
            "INSERT INTO slot_pool (pool, slots, description, include_deferred)"
            " VALUES (?, ?, 'made by frameferry stack', 0)"
            " ON CONFLICT (pool) DO UPDATE SET slots = excluded.slots",
            pools.items(),
        )


def _end_jobs(database: Path) -> None:
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection, connection:
        connection.execute(
            "UPDATE job SET state = 'failed', end_date = latest_heartbeat WHERE state = 'running'"
        )
