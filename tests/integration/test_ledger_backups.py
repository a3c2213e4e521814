"""Backups and restores, on both databases and between them."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from fixtures.ledgers import (
    PIPELINE,
    carried,
    claim,
    deliver,
    fresh_database,
    judged,
    plan,
    record,
    register,
    row,
    rows,
)
from sqlalchemy import Connection, select, text

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError, Fenced, LedgerConflict, LedgerOutdated
from frameferry.ledger.database import schema
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.ledger.upkeep import backups, restoring
from frameferry.ledger.upkeep.backups import back_up, open_copy
from frameferry.ledger.upkeep.copying import copy_rows, count_rows, tables
from frameferry.ledger.upkeep.restoring import restore


@pytest.fixture
def full(press: Ledger) -> Ledger:
    """A ledger with something in every table that a backup has to carry."""
    said = [*rows([OffsetRange(0, 0, 9)]), row(0, 9, quarantine=("damaged", "no end"))]
    twin = row(1, 0, value=b"0-3", path="/press-a/cam_0-3.jpg")
    batch = judged(press, OffsetRange(0, 0, 10), OffsetRange(1, 0, 1), said=[*said, twin])
    deliver(press, batch)
    press.commit(batch.id)
    gap = press.record_gap(PIPELINE, partition=1, start=1, end=4, cause="retention")
    press.accept_gap(gap, who="anna", reason="known")
    judged(press, OffsetRange(0, 10, 15))
    press.begin_login("digest", owner="me", lease_seconds=60)
    return press


def content(ledger: Ledger) -> dict[str, list[Any]]:
    """Every row of every table, times to the millisecond."""
    with ledger._transactions.read() as connection:
        return {
            table.name: [
                tuple(
                    value.replace(microsecond=value.microsecond // 1000 * 1000)
                    if hasattr(value, "microsecond")
                    else value
                    for value in line
                )
                for line in connection.execute(select(table).order_by(*table.primary_key.columns))
            ]
            for table in tables()
        }


def test_a_backup_holds_every_row_and_no_secret(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    done = back_up(ledger_url, tmp_path / "b.db")
    assert content(full) == content_of(tmp_path / "b.db")
    assert {name: len(lines) for name, lines in content(full).items()} == done.rows
    assert 0o600 == stat.S_IMODE((tmp_path / "b.db").stat().st_mode)
    assert ["b.db"] == [path.name for path in tmp_path.iterdir() if "ledger" not in path.name]
    assert ledger_url.encode() not in (tmp_path / "b.db").read_bytes()


def content_of(file: Path) -> dict[str, list[Any]]:
    with open_copy(file) as transactions:
        return content(Ledger(transactions))


class WrittenTo(sqlite3.Connection):
    """A source to which somebody else writes after every step of its backup."""

    def backup(self, target: sqlite3.Connection, **_: object) -> None:  # type: ignore[override]
        (file,) = (row[2] for row in self.execute("PRAGMA database_list") if row[1] == "main")
        left: list[int] = []

        def write(_: int, remaining: int, __: int) -> None:
            assert not left or remaining < left[-1], "the copy began anew"
            left.append(remaining)
            with closing(sqlite3.connect(file)) as writer:
                writer.execute("UPDATE pipeline SET topic = topic || '.'")
                writer.commit()

        super().backup(target, pages=16, progress=write)
        assert len(left) > 1


def test_a_backup_comes_to_its_end_while_others_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with closing(open_ledger(url)) as ledger:
        register(ledger)
        before = content(ledger)
    monkeypatch.setattr(sqlite3.dbapi2, "connect", partial(sqlite3.connect, factory=WrittenTo))
    back_up(url, tmp_path / "b.db")
    monkeypatch.undo()
    assert before == content_of(tmp_path / "b.db")


@pytest.mark.parametrize("ledger_url", ["postgresql"], indirect=True)
def test_a_copy_may_last_longer_than_any_other_statement(
    full: Ledger, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limits of all other connections are there for what hangs, and stay."""
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")
    met: list[list[str | None]] = []

    def watched(source: Connection, target: Connection) -> dict[str, int]:
        [here] = [one for one in (source, target) if one.dialect.name == "postgresql"]
        met.append([here.scalar(text(f"SHOW {limit}")) for limit in limits])
        return copy_rows(source, target)

    for module in (backups, restoring):
        monkeypatch.setattr(module, "copy_rows", watched)
    back_up(ledger_url, tmp_path / "b.db")
    full.release(full.batch(2).token)
    restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    assert [["0", "0"]] * 2 == met
    with full._transactions.write() as connection:
        assert ["2min", "2min"] == [connection.scalar(text(f"SHOW {limit}")) for limit in limits]


def test_a_record_that_leans_on_a_younger_one_is_copied_after_it(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    with full._transactions.write() as connection:
        younger = connection.scalar(text("SELECT max(id) FROM record"))
        moved = text("UPDATE record SET duplicate_of = :id WHERE duplicate_of IS NOT NULL")
        assert 1 == connection.execute(moved, {"id": younger}).rowcount
    before = content(full)["record"]
    back_up(ledger_url, tmp_path / "b.db")
    full.release(full.batch(2).token)
    restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    assert before == content(full)["record"]


def test_a_backup_is_consistent_while_others_write(
    press: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    is_over = threading.Event()

    def write() -> None:
        with closing(open_ledger(ledger_url)) as mine:
            at = 0
            while not is_over.is_set():
                press_batch = carried(mine, OffsetRange(0, at, at + 20))
                mine.commit(press_batch.id)
                at += 20

    writer = threading.Thread(target=write)
    writer.start()
    try:
        done = [back_up(ledger_url, tmp_path / f"{number}.db") for number in range(4)]
    finally:
        is_over.set()
        writer.join(60)
    for backup in done:
        with open_copy(Path(backup.file)) as transactions:
            copy = Ledger(transactions)
            counts = copy.counts(PIPELINE)
            committed = copy.committed_offsets(PIPELINE)[0]
            assert counts.records == backup.rows["record"]
            assert counts.delivered in range(committed, committed + 21)
            assert 0 == counts.records % 20


def test_a_backup_is_never_written_over(full: Ledger, ledger_url: str, tmp_path: Path) -> None:
    (tmp_path / "b.db").write_text("mine")
    with pytest.raises(ConfigError, match="is there already"):
        back_up(ledger_url, tmp_path / "b.db")
    with pytest.raises(ConfigError, match="is not there"):
        back_up(ledger_url, tmp_path / "none" / "b.db")
    assert "mine" == (tmp_path / "b.db").read_text()


def test_a_backup_that_breaks_off_leaves_nothing(
    full: Ledger, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()

    def broken(*_: object) -> None:
        msg = "torn"
        raise LedgerConflict(msg)

    monkeypatch.setattr("frameferry.ledger.upkeep.backups.refuse_damaged", broken)
    with pytest.raises(LedgerConflict, match="torn"):
        back_up(ledger_url, tmp_path / "out" / "b.db")
    assert [] == list((tmp_path / "out").iterdir())


def test_a_restore_brings_every_row_back_into_either_database(
    full: Ledger, ledger_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    before = content(full)
    for kind in ("sqlite", "postgresql"):
        (tmp_path / kind).mkdir()
        with fresh_database(request, kind, tmp_path / kind) as url:
            restore(url, tmp_path / "b.db", who="anna", replace=False)
            with closing(open_ledger(url)) as restored:
                after = content(restored)
        for name in ("record", "current", "quarantine", "progress", "batch_range", "gap", "tally"):
            assert before[name] == after[name], name
        assert before["action"] == after["action"][:-1]
        assert "restore" == after["action"][-1][3]
        assert {"free"} == {line[1] for line in after["login"]}


def test_no_token_outlives_a_restore(full: Ledger, ledger_url: str, tmp_path: Path) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    batch = claim(full, plan(full, OffsetRange(0, 15, 20)))
    [leased, _] = full.last_batches(PIPELINE, 2)
    for one in full.pipeline_state(PIPELINE).open_batches:  # type: ignore[union-attr]
        full.release(full.batch(one.id).token)
    done = restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    assert leased.id == batch.id
    with pytest.raises(Fenced):
        record(full, batch.token, rows(batch.ranges))
    with pytest.raises(Fenced):
        full.renew(batch.token, 60)
    with closing(open_ledger(ledger_url)) as restored:
        assert done.epoch == restored.epoch() == full.epoch()
        [judged_one] = restored.pipeline_state(PIPELINE).open_batches  # type: ignore[union-attr]
        with pytest.raises(LedgerOutdated, match="ledger recover press-a"):
            claim(restored, judged_one.id)


def test_ids_are_never_used_twice(full: Ledger, ledger_url: str, tmp_path: Path) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    lost = plan(full, OffsetRange(0, 15, 20))
    for one in full.pipeline_state(PIPELINE).open_batches:  # type: ignore[union-attr]
        full.release(full.batch(one.id).token)
    ids = []
    for _ in range(2):
        restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
        recovered(full)
        batch = judged(full, OffsetRange(0, 15, 17))
        full.release(batch.token)
        with full._transactions.read() as connection:
            query = text("SELECT min(id), max(id) FROM record WHERE batch_id = :id")
            first, last = connection.execute(query, {"id": batch.id}).one()
        ids.append((batch.id, first, last))
    (one, _, last), (two, first, _) = ids
    assert lost < one < two
    assert last < first


def recovered(ledger: Ledger) -> None:
    ledger.record_recovery(
        PIPELINE,
        recovered_to={},
        taken_to={},
        looked_to={},
        destination="d",
        seen=[],
        who="anna",
        detail="",
    )


def test_a_ledger_that_is_not_empty_or_is_in_use_is_not_given_up_in_passing(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    with pytest.raises(LedgerConflict, match="in use: batch 2 is held by me"):
        restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    full.release(full.batch(2).token)
    with pytest.raises(LedgerConflict, match=r"not empty: 1 pipelines, 16 records.*--replace"):
        restore(ledger_url, tmp_path / "b.db", who="anna", replace=False)
    before = content(full)
    assert before == content(full)


def test_what_is_no_backup_is_refused(ledger: Ledger, ledger_url: str, tmp_path: Path) -> None:
    register(ledger)
    (tmp_path / "text").write_text("not a database, but long enough to be taken for one" * 50)
    with closing(sqlite3.connect(tmp_path / "other.db")) as raw:
        raw.execute("CREATE TABLE mine (id INTEGER)")
    for name, says in (("text", "no backup"), ("other.db", "no backup"), ("none", "cannot be")):
        with pytest.raises(ConfigError, match=says):
            restore(ledger_url, tmp_path / name, who="anna", replace=True)
    assert ledger.pipeline_state(PIPELINE) is not None


def test_a_damaged_backup_is_refused_and_nothing_was_changed(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    with closing(sqlite3.connect(tmp_path / "b.db")) as raw:
        raw.execute("DELETE FROM record WHERE id = 1")
        raw.commit()
    full.release(full.batch(2).token)
    before = content(full)
    with pytest.raises(LedgerConflict, match="damaged: a row of"):
        restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    assert before == content(full)


def test_a_backup_of_an_older_schema_is_upgraded_and_not_changed(
    ledger: Ledger, ledger_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = tmp_path / "old.db"
    register(ledger, "old")
    back_up(ledger_url, file)
    before = file.read_bytes()
    later = request.getfixturevalue("later")
    done = restore(ledger_url, file, who="anna", replace=True)
    assert ("old",) == done.pipelines
    assert before == file.read_bytes()
    with closing(open_ledger(ledger_url)) as restored:
        assert restored.pipeline_state("old").is_restored  # type: ignore[union-attr]
        with restored._transactions.read() as connection:
            assert later == schema.version_of(connection)
            assert [None] == list(connection.scalars(text("SELECT later FROM pipeline")))


def test_a_backup_from_before_the_first_release_is_refused_and_nothing_was_changed(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.db"
    back_up(ledger_url, file)
    with closing(sqlite3.connect(file)) as raw:
        raw.execute(f"UPDATE {schema.VERSION_TABLE} SET version_num = '0006'")
        raw.commit()
    full.release(full.batch(2).token)
    before = content(full)
    with pytest.raises(LedgerConflict, match="version 0006, from before the first release"):
        restore(ledger_url, file, who="anna", replace=True)
    assert before == content(full)


def test_a_restored_ledger_keeps_its_rules(full: Ledger, ledger_url: str, tmp_path: Path) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    full.release(full.batch(2).token)
    restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    with (
        pytest.raises(LedgerConflict, match="append-only"),
        full._transactions.write() as connection,
    ):
        connection.execute(text("DELETE FROM action"))
    with full._transactions.read() as connection:
        assert 16 == count_rows(connection)["record"]
        assert 11 == len(
            connection.execute(text("SELECT * FROM predictions WHERE batch = 1")).all()
        )


@contextmanager
def no_room() -> Iterator[None]:
    """Let no file of this process grow, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_a_backup_is_said_and_nothing_is_left(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    says = r"the backup .*b\.db cannot be written: .*Make room"
    with pytest.raises(ConfigError, match=says), no_room():
        back_up(ledger_url, tmp_path / "to" / "b.db")
    assert [] == list((tmp_path / "to").iterdir())


def test_no_room_for_the_working_copy_is_not_put_down_to_the_backup(
    full: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    back_up(ledger_url, tmp_path / "b.db")
    full.release(full.batch(2).token)
    before = content(full)
    says = "a working copy of .* cannot be made: File too large"
    with pytest.raises(ConfigError, match=says), no_room():
        restore(ledger_url, tmp_path / "b.db", who="anna", replace=True)
    assert before == content(full)


def test_a_folder_without_hard_links_holds_backups_and_none_is_overwritten(
    full: Ledger, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def link(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(os, "link", link)
    back_up(ledger_url, tmp_path / "b.db")
    assert content(full) == content_of(tmp_path / "b.db")
    monkeypatch.setattr(backups, "_refuse_place", lambda _: None)
    before = (tmp_path / "b.db").read_bytes()
    with pytest.raises(ConfigError, match="is there already"):
        back_up(ledger_url, tmp_path / "b.db")
    assert before == (tmp_path / "b.db").read_bytes()
