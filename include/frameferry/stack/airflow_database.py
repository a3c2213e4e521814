"""
Airflow's metadata in SQLite, made ready by Airflow's own commands: each takes three seconds.

So they run only if there is something to do. An empty migrated database is made once and copied
from the cache, and a note beside the database says what was done to it last.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

from frameferry.errors import StackError
from frameferry.stack import layout

_TIMEOUT_SECONDS = 600


def task_states(database: Path) -> dict[str, int]:
    """
    Count tasks by state, read-only; empty if the database does not exist or is busy.

    Those of the DAG `monitor` are left out: they come by the clock, whatever else moves.
    """
    query = (
        "SELECT coalesce(state, 'none'), count(*) FROM task_instance"
        " WHERE dag_id <> 'monitor' GROUP BY 1"
    )
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            return dict(connection.execute(query).fetchall())
    except sqlite3.Error:
        return {}


def prepare(database: Path, pools: Mapping[str, int]) -> None:
    """
    Bring the database to this Airflow's schema, with these pools; at once if it has them.

    Call it only while no process of this Airflow lives.

    Raises:
        StackError: Airflow cannot migrate it.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    if not database.exists():
        _copy(template(), database)
        _write_note(database, {})
    elif _note(database).get("version") != _version():
        _airflow(database, "db", "migrate")
        _write_note(database, {})
    set_pools(database, pools)


def set_pools(database: Path, pools: Mapping[str, int]) -> None:
    """
    Make these pools, or give them these slots, unless that was done last; harmless at any time.

    Raises:
        StackError: The database cannot be written.
    """
    if _note(database).get("pools") == pools:
        return
    told = {
        name: {"slots": slots, "description": "made by frameferry stack", "include_deferred": False}
        for name, slots in pools.items()
    }
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(told, file)
        file.flush()
        _airflow(database, "pools", "import", file.name)
    _write_note(database, pools)


def template() -> Path:
    """
    Return an empty migrated database from the cache; make it at the first call.

    Raises:
        StackError: Airflow cannot make it.
    """
    path = layout.cache() / f"airflow-{_version()}.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".airflow-") as work:
            draft = Path(work) / "airflow.db"
            _airflow(draft, "db", "migrate")
            _copy(draft, path)
    return path


def _copy(source: Path, target: Path) -> None:
    """Copy a database; it gets its final name only when it is whole."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(draft)) as new:
        old.backup(new)
    draft.replace(target)


def _airflow(database: Path, *arguments: str) -> None:
    """Run a command of Airflow's, with its home beside the database, so that it reads no other."""
    env = {
        **os.environ,
        "AIRFLOW_HOME": str(database.parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
    }
    command = f"airflow {' '.join(arguments[:2])}"
    try:
        done = subprocess.run(
            [layout.program("airflow"), *arguments],
            env=env,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        msg = f"{command} did not end: {error}"
        raise StackError(msg, remedy="Install the pinned requirements, then try again") from error
    if done.returncode != 0:
        end = "\n".join(done.stderr.splitlines()[-15:])
        msg = f"{command} failed on {database}"
        raise StackError(msg, remedy=f"It said:\n{end}")


def _version() -> str:
    return version("apache-airflow-core")


def _note_file(database: Path) -> Path:
    return database.with_name(f"{database.name}.json")


def _note(database: Path) -> dict[str, Any]:
    """Read what was done last; nothing is known of a database without a note."""
    try:
        return dict(json.loads(_note_file(database).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _write_note(database: Path, pools: Mapping[str, int]) -> None:
    draft = _note_file(database).with_suffix(f".{os.getpid()}")
    draft.write_text(json.dumps({"version": _version(), "pools": dict(pools)}), encoding="utf-8")
    draft.replace(_note_file(database))
