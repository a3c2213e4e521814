"""Opening: the schema, the host, the database, and what is wrong with them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from fixtures.ledgers import register
from fixtures.postgres import PostgresServer
from sqlalchemy import Connection, inspect, text

from frameferry.errors import ConfigError, LedgerConflict, LedgerUnavailable
from frameferry.ledger.database import engines, schema
from frameferry.ledger.database.tables import metadata
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.operations.upkeep import Upgrade, upgrade_ledger


@pytest.mark.filterwarnings("ignore:.*skipping metadata-specified expression-based:UserWarning")
def test_the_migrations_make_exactly_the_tables(ledger: Ledger) -> None:
    with ledger._transactions.read() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "version_table": schema.VERSION_TABLE,
                "compare_type": True,
                # Alembic heeds no ddl_if; `test_ledger_million.py` sees that the index is used.
                "include_name": lambda name, *_: name != "ix_record_source_name",
                "include_object": lambda _, name, *__: name != "ix_record_source_name",
            },
        )
        assert compare_metadata(context, metadata) == []


_RULES = {
    "sqlite": ["SELECT sql FROM sqlite_master WHERE type <> 'trigger'"],
    "postgresql": [
        """
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid)
        FROM pg_constraint WHERE connamespace = 'frameferry'::regnamespace
        """,
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'frameferry'",
        """
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'frameferry'
        """,
        """
        SELECT concat_ws(' ', relname, reloptions::text, obj_description(oid))
        FROM pg_class WHERE relnamespace = 'frameferry'::regnamespace AND relkind = 'r'
        """,
    ],
}


def rules(connection: Connection) -> set[str]:
    """
    List the parts of every table and index as the database says them, in any order.

    SQLite writes a column that was added later into the line of the last one.
    """
    said = [
        part.strip(" ,\t")
        for question in _RULES[connection.dialect.name]
        for one in connection.scalars(text(question))
        for line in (one or "").split("\n")
        for part in re.split(r", (?=\w+ (?:TEXT|DOUBLE|INTEGER|BIGINT)\b)", line)
    ]
    return {line for line in said if schema.VERSION_TABLE not in line}


def test_the_first_schema_keeps_every_rule_of_the_tables(ledger: Ledger) -> None:
    """Alembic compares neither checks nor how a table is stored."""
    with ledger._transactions.write() as connection:
        connection.execute(text("DROP VIEW predictions"))
        by_script = rules(connection)
        metadata.drop_all(connection)
        metadata.create_all(connection)
        by_tables = rules(connection)
    assert set() == by_script ^ by_tables


def test_the_head_is_the_newest_script() -> None:
    assert ScriptDirectory(str(schema.SCRIPTS)).get_current_head() == schema.HEAD


def test_an_empty_database_opened_by_many_at_once_is_migrated_once(
    postgres: PostgresServer, postgres_template: PostgresServer, tmp_path: Path
) -> None:
    for url in (f"sqlite:///{tmp_path / 'new.db'}", postgres.empty_database()):
        with ThreadPoolExecutor(6) as pool:
            opened = list(pool.map(open_ledger, [url] * 6))
        assert len({ledger.epoch() for ledger in opened}) == 1
        for ledger in opened:
            ledger.close()


def test_an_older_ledger_opened_by_many_at_once_is_upgraded_once(
    ledger_url: str, request: pytest.FixtureRequest
) -> None:
    with closing(open_ledger(ledger_url)) as ledger:
        register(ledger)
    later = request.getfixturevalue("later")
    with ThreadPoolExecutor(6) as pool:
        opened = list(pool.map(open_ledger, [ledger_url] * 6))
    with opened[0]._transactions.read() as connection:
        assert later == schema.version_of(connection)
        assert [None] == list(connection.scalars(text("SELECT later FROM pipeline")))
    for ledger in opened:
        assert ledger.pipeline_state("press-a") is not None
        ledger.close()


def test_upgrading_says_from_where_to_where(
    ledger_url: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ledger(ledger_url).close()
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", ledger_url)
    ours, later = schema.HEAD, request.getfixturevalue("later")
    for before in (ours, later):
        assert Upgrade(before, later) == upgrade_ledger()


def test_a_script_that_fails_leaves_the_older_ledger_as_it_was(
    ledger_url: str, request: pytest.FixtureRequest
) -> None:
    with closing(open_ledger(ledger_url)) as ledger:
        register(ledger)
        request.getfixturevalue("later")
        [script] = (schema.SCRIPTS / "versions").glob("v0199*")
        script.write_text(f"{script.read_text()}    op.execute('SELECT nothing FROM nowhere')\n")
        with pytest.raises((LedgerConflict, LedgerUnavailable)):
            open_ledger(ledger_url)
        with ledger._transactions.read() as connection:
            assert schema.version_of(connection) != schema.HEAD
            columns = {one["name"] for one in inspect(connection).get_columns("pipeline")}
        assert "later" not in columns
        assert ledger.pipeline_state("press-a") is not None


def test_opening_again_compiles_no_statement_again(ledger_url: str) -> None:
    with closing(open_ledger(ledger_url)) as first:
        first.pipeline_state("press-a")
        compiled = first._transactions._engine
    with closing(open_ledger(ledger_url)) as second:
        assert second._transactions._engine is compiled


def test_a_ledger_that_was_exchanged_meanwhile_is_the_one_that_is_opened(tmp_path: Path) -> None:
    mine, other = (tmp_path / f"{name}.db" for name in ("mine", "other"))
    epochs = []
    for place in (mine, other):
        with closing(open_ledger(f"sqlite:///{place}")) as ledger:
            epochs.append(ledger.epoch())
    for end in ("", "-wal", "-shm"):
        mine.with_name(f"mine.db{end}").unlink(missing_ok=True)
    other.rename(mine)
    with closing(open_ledger(f"sqlite:///{mine}")) as ledger:
        assert epochs[1] == ledger.epoch()


def test_a_forked_child_leaves_its_parents_connections_alone(ledger_url: str) -> None:
    with closing(open_ledger(ledger_url)) as parent:
        before = _held(parent)
        child = os.fork()
        if not child:
            with closing(open_ledger(ledger_url)) as own:
                is_other = own.epoch() != parent.epoch()
            os._exit(is_other)
        assert 0 == os.waitpid(child, 0)[1]
        assert before == _held(parent)
        assert parent.epoch()


def _held(ledger: Ledger) -> int:
    """Tell the connection that a read takes from the pool: PostgreSQL's process, or the object."""
    with ledger._transactions._engine.connect() as connection:
        if connection.dialect.name == "postgresql":
            return int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
        return id(connection.connection.driver_connection)


def test_opening_again_keeps_epoch_and_content(ledger_url: str) -> None:
    with closing(open_ledger(ledger_url)) as first:
        register(first)
        epoch = first.epoch()
    with closing(open_ledger(ledger_url)) as second:
        assert epoch == second.epoch()
        assert second.pipeline_state("press-a") is not None


def test_postgresql_keeps_everything_in_its_own_schema(postgres_template: PostgresServer) -> None:
    query = "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename = ANY(:names)"
    names = [schema.VERSION_TABLE, *metadata.tables]
    url = postgres_template.copy_template()
    with closing(open_ledger(url)) as ledger, ledger._transactions.read() as connection:
        assert list(connection.scalars(text(query), {"names": names})) == ["frameferry"]


def test_a_ledger_of_a_newer_program_is_refused(ledger_url: str) -> None:
    with closing(open_ledger(ledger_url)) as ledger, ledger._transactions.write() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(LedgerConflict, match=rf"version 9999.*knows up to {schema.HEAD}"):
        open_ledger(ledger_url)


@pytest.mark.parametrize("version", ["0001", "0006"])
def test_a_ledger_from_before_the_first_release_is_refused_and_says_what_to_do(
    ledger_url: str, version: str
) -> None:
    with closing(open_ledger(ledger_url)) as ledger, ledger._transactions.write() as connection:
        statement = text(f"UPDATE {schema.VERSION_TABLE} SET version_num = :version")
        connection.execute(statement, {"version": version})
    says = (
        rf"version {version}, from before the first release.*begin a new ledger.*recover PIPELINE"
    )
    with pytest.raises(LedgerConflict, match=says):
        open_ledger(ledger_url)


def test_sqlite_is_set_up_to_keep_what_is_committed(tmp_path: Path) -> None:
    asked = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(open_ledger(url)) as ledger, ledger._transactions.read() as connection:
        found = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in asked]
    assert found == ["wal", 2, 1, 30_000]


def test_sqlite_refuses_a_second_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    open_ledger(url).close()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    with closing(open_ledger(url)):
        """Another name on the same kernel is a container, not a host."""
    monkeypatch.setattr("frameferry.ledger.opening._BOOT_ID", tmp_path / "boot_id")
    (tmp_path / "boot_id").write_text("another kernel\n")
    open_ledger(url).close()
    monkeypatch.undo()
    with pytest.raises(LedgerConflict, match="belongs to host elsewhere, this is"):
        open_ledger(url)


def test_a_moved_sqlite_ledger_is_adopted_when_its_host_is_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.db"
    open_ledger(f"sqlite:///{path}").close()
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE ledger SET host = 'old', boot_id = 'old'")
        raw.commit()
        with pytest.raises(LedgerConflict, match="UPDATE ledger SET host = NULL"):
            open_ledger(f"sqlite:///{path}")
        raw.execute("UPDATE ledger SET host = NULL")
        raw.commit()
    open_ledger(f"sqlite:///{path}").close()


@pytest.mark.parametrize(
    "url",
    [
        *("nonsense", "sqlite://", "sqlite:///:memory:", "mysql://user:secret@host/database"),
        *("mysql://host/database?password=secret", "mysql://user:se@secret@host/database"),
        "postgresql://user:se@secret@host/database",
    ],
)
def test_a_url_of_no_ledger_is_a_configuration_error_and_tells_no_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"FRAMEFERRY_LEDGER_URL|Percent-encode") as caught:
        open_ledger(url)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_text("not a database, but long enough to be taken for one" * 50)
    with pytest.raises(LedgerConflict, match="is not a ledger"):
        open_ledger(f"sqlite:///{path}")


def test_a_folder_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="folder cannot be made"):
        open_ledger(f"sqlite:///{tmp_path / 'file' / 'ledger.db'}")
    with pytest.raises(LedgerUnavailable, match="cannot be opened"):
        open_ledger(f"sqlite:///{tmp_path}")


def test_a_postgresql_that_is_not_there_is_unavailable_and_tells_no_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(LedgerUnavailable, match="does not answer") as caught:
            open_ledger(f"postgresql://ferry:hunter2@127.0.0.1:{port}/ledger")
    assert "hunter2" not in str(caught.value)


def register_many(ledger: Ledger) -> None:
    for number in range(1000):
        register(ledger, f"press-{number}")


def test_a_disk_that_is_full_is_said_and_what_to_do(sqlite_template: Path, tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(sqlite_template, path)
    with closing(open_ledger(f"sqlite:///{path}")) as ledger:
        with ledger._transactions.write() as connection:
            # The file may not grow: what SQLite says is what it says of a disk without room.
            connection.execute(text("PRAGMA max_page_count = 1"))
        with pytest.raises(LedgerUnavailable, match="full") as caught:
            register_many(ledger)
        assert "Make room where the ledger lies" in str(caught.value)


def test_a_ledger_that_stays_locked_is_unavailable(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "BUSY_SECONDS", 1)
    with closing(open_ledger(ledger_url)) as ledger, closing(open_ledger(ledger_url)) as rival:
        register(ledger)
        with rival._transactions.write() as connection:
            connection.execute(text("UPDATE pipeline SET topic = topic"))
            with pytest.raises(LedgerUnavailable, match="does not answer"):
                ledger.block("press-a", reason="none", digest=None)
        ledger.block("press-a", reason="none", digest=None)


def test_a_connection_that_the_server_cut_is_replaced(postgres_template: PostgresServer) -> None:
    with closing(open_ledger(postgres_template.copy_template())) as ledger:
        register(ledger)
        with ledger._transactions.read() as connection:
            pid = connection.scalar(text("SELECT pg_backend_pid()"))
        postgres_template.cut(pid)
        assert ledger.pipeline_state("press-a") is not None


def test_the_ledger_file_is_made_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "ledger.db"
    open_ledger(f"sqlite:///{path}").close()
    assert path.exists()
