"""Pruning: what goes is exported, what is still needed stays, and names outlive records."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest
from fixtures.ledgers import (
    PIPELINE,
    add_replay,
    claim,
    count,
    deliver,
    intend,
    judged,
    plan,
    put,
    receive,
    record,
    row,
)
from pyarrow import parquet
from sqlalchemy import text

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.ledger.upkeep import pruning
from frameferry.ledger.upkeep.exporting import SCHEMA, parquet_in
from frameferry.ledger.upkeep.pruning import prune

DAY = 86_400.0


def aged(ledger: Ledger, *batch_ids: int, days: float = 100) -> None:
    """Let batches have been committed long ago."""
    shift = {
        "sqlite": "strftime('%Y-%m-%dT%H:%M:%fZ', committed_at, :ago)",
        "postgresql": "committed_at + CAST(:ago AS interval)",
    }
    with ledger._transactions.write() as connection:
        moved = shift[connection.dialect.name]
        for batch_id in batch_ids:
            connection.execute(
                text(f"UPDATE batch SET committed_at = {moved} WHERE id = :id"),
                {"ago": f"-{days} days", "id": batch_id},
            )


def committed(ledger: Ledger, *ranges: OffsetRange, said=None) -> int:
    batch = judged(ledger, *ranges, said=said)
    deliver(ledger, batch)
    ledger.commit(batch.id)
    return batch.id


def run(ledger: Ledger, folder: Path):
    [pruned] = prune(
        ledger._transactions, older_than_seconds=90 * DAY, export=parquet_in(folder), who="anna"
    )
    return pruned


def number(ledger: Ledger, table: str) -> int:
    with ledger._transactions.read() as connection:
        return connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0


def exported(folder: Path) -> list[dict]:
    return [
        line
        for file in sorted(folder.glob("*.parquet"))
        for line in parquet.read_table(file).to_pylist()
    ]


def test_old_records_are_exported_as_the_view_shows_them_and_removed(
    press: Ledger, tmp_path: Path
) -> None:
    old = committed(press, OffsetRange(0, 0, 5), OffsetRange(1, 0, 2))
    young = committed(press, OffsetRange(0, 5, 9))
    aged(press, old)
    with press._transactions.read() as connection:
        query = text("SELECT * FROM predictions WHERE batch = :batch ORDER BY 3, 4")
        shown = connection.execute(query, {"batch": old}).mappings().all()
    before = press.counts(PIPELINE)
    pruned = run(press, tmp_path)
    assert (1, 7, 1) == (pruned.batches, pruned.records, len(pruned.files))
    lines = exported(tmp_path)
    # The view has its newer columns at its end, so that rights on it stay.
    assert {*shown[0], "stands"} == {*SCHEMA.names}
    assert SCHEMA.names == list(lines[0])
    plain = ("partition", "offset", "name", "sha256", "label", "score", "remote_path", "outcome")
    assert [[one[key] for key in plain] for one in shown] == [
        [one[key] for key in plain] for one in lines
    ]
    assert all(line["stands"] and line["delivered_at"].tzinfo for line in lines)
    assert (4, 4) == (number(press, "record"), number(press, "current"))
    assert {young} == {row.batch for row in press.records(PIPELINE)}
    assert before == press.counts(PIPELINE), "the totals forgot what was pruned"


def test_nothing_young_open_or_unresolved_goes(press: Ledger, tmp_path: Path) -> None:
    said = [row(0, 0), row(0, 1, quarantine=("damaged", ""))]
    old = committed(press, OffsetRange(0, 0, 2), said=said)
    committed(press, OffsetRange(0, 2, 4))
    judged(press, OffsetRange(0, 4, 6))
    aged(press, old)
    assert 1 == run(press, tmp_path).records
    assert [1, 2, 3, 4, 5] == [one.offset for one in press.records(PIPELINE)]
    assert 1 == len(press.quarantined(PIPELINE))
    assert 0 == run(press, tmp_path).records


def test_a_record_stays_as_long_as_a_duplicate_leans_on_it(press: Ledger, tmp_path: Path) -> None:
    first = committed(press, OffsetRange(0, 0, 2))
    twin = row(1, 0, value=b"0-0", path="/press-a/cam_0-0.jpg")
    second = committed(press, OffsetRange(1, 0, 1), said=[twin])
    aged(press, first)
    assert 1 == run(press, tmp_path).records
    assert [0] == [one.offset for one in press.records(PIPELINE, partition=0)]
    aged(press, second)
    assert 2 == run(press, tmp_path).records
    assert 0 == number(press, "record")


def test_what_an_open_replay_covers_stays_and_what_was_pruned_is_not_replayed(
    press: Ledger, tmp_path: Path
) -> None:
    old = committed(press, OffsetRange(0, 0, 4))
    aged(press, old)
    replay = add_replay(press, "redeliver", OffsetRange(0, 1, 2))
    assert 0 == run(press, tmp_path).records
    assert [] == exported(tmp_path)
    batch = claim(press, replay)
    deliver(press, batch)
    press.commit(replay)
    assert 4 == run(press, tmp_path).records
    for mode in ("redeliver", "reinfer"):
        with pytest.raises(ConfigError, match=r"2 offsets of 0:\[2, 4\) have no row"):
            add_replay(press, mode, OffsetRange(0, 2, 4))


def test_a_pruned_name_is_still_taken(press: Ledger, tmp_path: Path) -> None:
    old = committed(press, OffsetRange(0, 0, 2))
    aged(press, old)
    run(press, tmp_path)
    said = [
        row(0, 2, value=b"other bytes", path="/press-a/CAM_0-0.jpg"),
        row(0, 3, value=b"0-1", path="/press-a/cam_0-1.jpg"),
    ]
    batch = judged(press, OffsetRange(0, 2, 4), said=said)
    [due] = press.consignments(batch.token)
    assert (3, "/press-a/cam_0-1.jpg") == (due.offset, due.remote_path)
    [taken] = press.quarantined(PIPELINE)
    assert (2, "name taken") == (taken.offset, taken.reason)
    deliver(press, batch)
    press.commit(batch.id)
    third = judged(
        press, OffsetRange(0, 4, 5), said=[row(0, 4, value=b"0-1", path=due.remote_path)]
    )
    assert [] == press.consignments(third.token), "the newer holder of the name is the one"


def test_a_replay_that_was_overtaken_is_exported_with_the_word_that_it_does_not_stand(
    press: Ledger, tmp_path: Path
) -> None:
    old = committed(press, OffsetRange(0, 0, 2))
    replay = add_replay(press, "reinfer", OffsetRange(0, 0, 2))
    batch = claim(press, replay)
    record(press, batch.token, [row(0, at, label="scratch") for at in (0, 1)])
    deliver(press, batch)
    press.commit(replay)
    assert {"scratch": 2} == press.counts(PIPELINE).labels
    aged(press, old, replay)
    run(press, tmp_path)
    told = [(line["batch"], line["label"], line["stands"]) for line in exported(tmp_path)]
    assert [(old, "good", False)] * 2 + [(replay, "scratch", True)] * 2 == sorted(told)
    assert {"scratch": 2} == press.counts(PIPELINE).labels


def test_many_batches_share_a_file_and_no_file_is_written_over(
    press: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [committed(press, OffsetRange(0, at, at + 3)) for at in range(0, 15, 3)]
    aged(press, *ids)
    (tmp_path / f"{PIPELINE}-batches-{ids[3]}-{ids[4]}.parquet").write_text("mine")
    monkeypatch.setattr(pruning, "FILE_RECORDS", 6)
    pruned = run(press, tmp_path)
    assert (5, 15, 3) == (pruned.batches, pruned.records, len(pruned.files))
    assert "mine" == (tmp_path / f"{PIPELINE}-batches-{ids[3]}-{ids[4]}.parquet").read_text()
    assert pruned.files[0].endswith("-2.parquet")


def test_a_broken_off_run_loses_nothing(
    press: Ledger, ledger_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [committed(press, OffsetRange(0, at, at + 3)) for at in range(0, 9, 3)]
    aged(press, *ids)
    real, calls = pruning._remove, []

    def breaks(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(pruning, "_remove", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(press, tmp_path)
    assert 6 == number(press, "record")
    monkeypatch.undo()
    assert 6 == run(press, tmp_path).records
    assert set(range(9)) == {line["offset"] for line in exported(tmp_path)}


def test_a_duplicate_that_comes_meanwhile_keeps_its_record(
    press: Ledger, ledger_url: str, tmp_path: Path
) -> None:
    """Between the export and the removal somebody leans on a record."""
    old = committed(press, OffsetRange(0, 0, 2))
    aged(press, old)
    real = parquet_in(tmp_path)

    def export(*arguments):
        with closing(open_ledger(ledger_url)) as rival:
            twin = row(1, 0, value=b"0-0", path="/press-a/cam_0-0.jpg")
            batch = claim(rival, plan(rival, OffsetRange(1, 0, 1)))
            record(rival, batch.token, [twin])
            put(rival, batch)
            rival.record_census(batch.token, count(rival, batch), seconds=1)
        return real(*arguments)

    [pruned] = prune(press._transactions, older_than_seconds=DAY, export=export, who="anna")
    assert 1 == pruned.records
    assert [0] == [one.offset for one in press.records(PIPELINE, partition=0)]


def test_totals_are_those_of_the_rows_whatever_was_done(press: Ledger) -> None:
    """Counted by batches that are tallied and by rows, the sum is the same."""
    committed(press, OffsetRange(0, 0, 4))
    judged(press, OffsetRange(0, 4, 6))
    replay = add_replay(press, "reinfer", OffsetRange(0, 1, 3))
    batch = claim(press, replay)
    record(press, batch.token, [row(0, at, label="scratch") for at in (1, 2)])
    assert {"good": 4} == press.counts(PIPELINE).labels
    put(press, batch)
    assert {"good": 2, "scratch": 2} == press.counts(PIPELINE).labels
    press.record_census(batch.token, count(press, batch), seconds=1)
    press.commit(replay)
    assert {"good": 2, "scratch": 2} == press.counts(PIPELINE).labels
    assert 6 == press.counts(PIPELINE).records


def test_a_row_that_was_delivered_before_a_withdrawal_is_counted(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 4))
    first, *_ = press.consignments(batch.token)
    intend(press, batch, [first])
    receive(press, batch, [first])
    press.withdraw_predictions(
        batch.token, partition=0, offset=2, error="wrong rows", is_proof=False
    )
    assert 1 == press.counts(PIPELINE).delivered
    other = committed(press, OffsetRange(1, 0, 1))
    assert 2 == press.counts(PIPELINE).delivered, other


def test_a_replay_that_comes_meanwhile_keeps_its_records(press: Ledger, tmp_path: Path) -> None:
    old = committed(press, OffsetRange(0, 0, 2))
    aged(press, old)
    real = parquet_in(tmp_path)

    def export(*arguments):
        add_replay(press, "redeliver", OffsetRange(0, 1, 2))
        return real(*arguments)

    [pruned] = prune(press._transactions, older_than_seconds=DAY, export=export, who="anna")
    assert 0 == pruned.records
    assert [0, 1] == [one.offset for one in press.records(PIPELINE)]


def test_an_export_has_its_name_on_the_disk_before_its_records_are_removed(
    press: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(press, committed(press, OffsetRange(0, 0, 2)))
    met: list[tuple[int, int]] = []
    folder = tmp_path / "exports"
    real = os.fsync

    def fsync(handle: int) -> None:
        if os.fstat(handle).st_ino == folder.stat().st_ino:
            met.append((len(exported(folder)), number(press, "record")))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    run(press, folder)
    assert [(2, 2)] == met
    assert 0 == number(press, "record")
