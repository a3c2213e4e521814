"""The schema refuses what must not be, whoever writes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from fixtures.ledgers import DATABASES, carried, fresh_database, judged, plan, put, register, row
from sqlalchemy import Executable, delete, insert, text, update

from frameferry.domain.offsets import OffsetRange
from frameferry.errors import LedgerConflict
from frameferry.ledger.database import tables
from frameferry.ledger.database.clock import from_now
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

NOW = from_now()
REFUSED_BATCHES = {
    "an unknown kind": {"kind": "dead"},
    "a live batch of a replay": {"replay_id": 1},
    "a replay's batch without its replay": {"kind": "replay"},
    "of a replay that is not there": {"kind": "replay", "replay_id": 99},
    "of another pipeline than its replay": {"kind": "replay", "replay_id": 1, "pipeline_id": 2},
    "of another generation than its replay": {"kind": "replay", "replay_id": 1, "generation": 2},
    "a negative attempt": {"attempt": -1},
    "negative charges": {"charges": -1},
    "a lease without an owner": {"leased_until": NOW},
    "an owner without a lease": {"owner": "me"},
    "delivered but not judged": {"delivered_at": NOW},
    "committed but not delivered": {"inferred_at": NOW, "committed_at": NOW},
    "split but delivered": {"inferred_at": NOW, "delivered_at": NOW, "split_at": NOW},
    "of no pipeline": {"pipeline_id": 99},
    "of no parent": {"parent_id": 99},
    "of no root": {"root_id": 99},
}
REFUSED_RANGES = {
    "empty": {"start_offset": 5, "end_offset": 5},
    "reversed": {"start_offset": 6, "end_offset": 5},
    "before the log": {"start_offset": -1, "end_offset": 5},
    "of no partition": {"partition": -1},
    "a root that starts where another does": {"start_offset": 0, "end_offset": 5},
    "half a census": {"seen_to": 20},
    "a census that was not read to the end": {
        "seen_to": 19,
        "record_count": 9,
        "offsets_digest": "x",
    },
    "of another generation than its batch": {"generation": 2},
}
REFUSED_RECORDS = {
    "twice in one batch": {"offset": 0},
    "a name that another holds": {"name_key": "taken"},
    "an unknown outcome": {"outcome": "lost"},
    "delivered without a receipt": {"outcome": "delivered"},
    "delivered without an intent": {
        "outcome": "delivered",
        "receipt_how": "size",
        "delivered_at": NOW,
    },
    "a receipt without the outcome": {"receipt_how": "size", "delivered_at": NOW},
    "a receipt that does not say how": {"outcome": "delivered", "delivered_at": NOW},
    "a duplicate of nothing": {"outcome": "duplicate"},
    "a duplicate of no record": {"outcome": "duplicate", "duplicate_of": 99},
    "a duplicate that is due": {"duplicate_of": 1},
    "two outcomes": {"outcome": "quarantined", "duplicate_of": 1},
    "lost in no gap": {"outcome": "gap"},
    "an intent without its attempt": {"part_path": "/p.part"},
    "an intent without a part": {"intent_attempt": 1, "intended_at": NOW},
    "an intent with an empty part": {"part_path": "", "intent_attempt": 1, "intended_at": NOW},
    "an intent whose part is the final name": {
        "part_path": "/b",
        "intent_attempt": 1,
        "intended_at": NOW,
    },
    "quarantined with a name": {"outcome": "quarantined", "name_key": "free"},
    "quarantined with an open intent": {
        "outcome": "quarantined",
        "part_path": "/p.part",
        "intent_attempt": 1,
        "intended_at": NOW,
    },
    "a score above 1": {"score": 1.5},
    "a negative size": {"size_bytes": -1},
    "a digest that is none": {"sha256": "abc"},
    "of another pipeline than its batch": {"pipeline_id": 2},
    "before the log": {"offset": -1},
    "of no partition": {"partition": -1},
    "lost in a gap that is not there": {"outcome": "gap", "gap_id": 99},
}


def _plan(ledger: Ledger) -> None:
    """
    Batches 1 and 2 over 0:[0, 10) and 0:[10, 20), a record at offset 0; a second pipeline; replay 1
    of the first.
    """
    register(ledger)
    register(ledger, "press-b")
    judged(ledger, OffsetRange(0, 0, 10), said=[row(0, 0, path="/a")])
    plan(ledger, OffsetRange(0, 10, 20))
    with ledger._transactions.write() as connection:
        connection.execute(update(tables.record).values(name_key="taken"))
        ranges = tables.batch_range
        connection.execute(delete(ranges).where(ranges.c.batch_id == 2))
        connection.execute(insert(tables.replay).values(_replay()))


@pytest.fixture(scope="module", params=DATABASES)
def shared(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """One ledger for all refusals of a database: a refused write changes nothing."""
    folder = tmp_path_factory.mktemp("constraints")
    with (
        fresh_database(request, request.param, folder) as url,
        closing(open_ledger(url)) as opened,
    ):
        _plan(opened)
        yield opened


@pytest.fixture
def planned(ledger: Ledger) -> Ledger:
    _plan(ledger)
    return ledger


def _refuse(ledger: Ledger, table: Any, values: dict[str, Any]) -> None:
    with pytest.raises(LedgerConflict, match="breaks one of its rules"):
        _insert(ledger, table, values)


def _insert(ledger: Ledger, table: Any, values: dict[str, Any]) -> None:
    _execute(ledger, insert(table).values(values))


def _execute(ledger: Ledger, *statements: Executable) -> None:
    with ledger._transactions.write() as connection:
        for statement in statements:
            connection.execute(statement)


def _batch(**columns: Any) -> dict[str, Any]:
    whole = {
        "pipeline_id": 1,
        "generation": 1,
        "kind": "live",
        "attempt": 0,
        "charges": 0,
        "config_digest": "c",
        "sentence": "s",
        "planned_at": NOW,
    }
    return {**whole, **columns}


def _replay(**columns: Any) -> dict[str, Any]:
    whole = {
        "pipeline_id": 1,
        "generation": 1,
        "mode": "reinfer",
        "selection": "{}",
        "who": "anna",
        "asked_at": NOW,
    }
    return {**whole, **columns}


def _range(**columns: Any) -> dict[str, Any]:
    whole = {
        "batch_id": 2,
        "pipeline_id": 1,
        "generation": 1,
        "partition": 0,
        "start_offset": 10,
        "end_offset": 20,
        "is_live_root": True,
    }
    return {**whole, **columns}


def _record(**columns: Any) -> dict[str, Any]:
    whole = {
        "batch_id": 1,
        "pipeline_id": 1,
        "generation": 1,
        "partition": 0,
        "offset": 1,
        "timestamp_ms": 0,
        "destination": "ftp://ferry@archive:21",
        "remote_path": "/b",
        "size_bytes": 1,
        "sha256": "0" * 64,
    }
    return {**whole, **columns}


def test_the_rows_that_the_refused_ones_differ_from_are_accepted(planned: Ledger) -> None:
    _insert(planned, tables.replay, _replay())
    _insert(planned, tables.batch, _batch())
    _insert(planned, tables.batch, _batch(kind="replay", replay_id=1))
    _insert(planned, tables.record, _record())
    _insert(planned, tables.batch_range, _range())


@pytest.mark.parametrize("columns", REFUSED_BATCHES.values(), ids=REFUSED_BATCHES)
def test_no_batch_may_be(shared: Ledger, columns: dict[str, Any]) -> None:
    _refuse(shared, tables.batch, _batch(**columns))


@pytest.mark.parametrize(
    "columns",
    [{"mode": "again"}, {"selection": ""}, {"who": ""}, {"pipeline_id": 99}],
    ids=["of an unknown mode", "of nothing", "of nobody", "of no pipeline"],
)
def test_no_replay_may_be(shared: Ledger, columns: dict[str, Any]) -> None:
    _refuse(shared, tables.replay, _replay(**columns))


@pytest.mark.parametrize("columns", REFUSED_RANGES.values(), ids=REFUSED_RANGES)
def test_no_range_may_be(shared: Ledger, columns: dict[str, Any]) -> None:
    _refuse(shared, tables.batch_range, _range(**columns))


@pytest.mark.parametrize("columns", REFUSED_RECORDS.values(), ids=REFUSED_RECORDS)
def test_no_record_may_be(shared: Ledger, columns: dict[str, Any]) -> None:
    _refuse(shared, tables.record, _record(**columns))


@pytest.mark.parametrize(
    "columns",
    [
        {"planned_offset": 5, "committed_offset": 6},
        {"planned_offset": 5, "committed_offset": -1},
        {"last_offset": 4},
        {"partition": -1},
        {"pipeline_id": 99},
    ],
    ids=[
        "committed beyond planned",
        "a negative offset",
        "a last record without its digest",
        "of no partition",
        "of no pipeline",
    ],
)
def test_no_progress_may_be(shared: Ledger, columns: dict[str, Any]) -> None:
    one = (tables.progress.c.pipeline_id == 1) & (tables.progress.c.partition == 0)
    with pytest.raises(LedgerConflict, match="breaks one of its rules"):
        _execute(shared, update(tables.progress).where(one).values(columns))


def test_two_pipelines_never_own_one_partition(press: Ledger) -> None:
    register(press, "press-b")
    stolen = {"pipeline_id": 2, "generation": 1, "partition": 0, "cluster_id": "cluster"}
    stolen |= {"topic_id": "press-a-topic", "planned_offset": 0, "committed_offset": 0}
    _refuse(press, tables.progress, {**stolen, "generation": 2})
    with press._transactions.write() as connection:
        mine = tables.progress.c.pipeline_id == 1
        connection.execute(update(tables.progress).where(mine).values(retired_at=NOW))
    _insert(press, tables.progress, {**stolen, "generation": 2})


def test_one_row_stands_for_an_offset_and_a_row_stands_once(planned: Ledger) -> None:
    _insert(planned, tables.record, _record())
    position = {"pipeline_id": 1, "generation": 1, "partition": 0}
    _refuse(planned, tables.current, {**position, "offset": 0, "record_id": 2})
    _refuse(planned, tables.current, {**position, "offset": 1, "record_id": 1})
    _refuse(planned, tables.current, {**position, "offset": 1, "record_id": 99})
    _insert(planned, tables.current, {**position, "offset": 1, "record_id": 2})


def test_a_record_is_quarantined_once_and_for_a_reason(planned: Ledger) -> None:
    said = {"record_id": 1, "stage": "infer", "reason": "r", "detail": "d", "found_at": NOW}
    _refuse(planned, tables.quarantine, {**said, "stage": "nowhere"})
    _refuse(planned, tables.quarantine, {**said, "reason": ""})
    _refuse(planned, tables.quarantine, {**said, "resolved_at": NOW})
    _refuse(planned, tables.quarantine, {**said, "record_id": 99})
    _insert(planned, tables.quarantine, said)
    _refuse(planned, tables.quarantine, said)


@pytest.mark.parametrize(
    "columns",
    [{"blocked_reason": "why"}, {"blocked_at": NOW}, {"generation": 0}, {"name": "press-b"}],
    ids=["blocked since never", "blocked for no reason", "before the first", "of a taken name"],
)
def test_no_pipeline_may_be(shared: Ledger, columns: dict[str, Any]) -> None:
    first = update(tables.pipeline).where(tables.pipeline.c.name == "press-a")
    with pytest.raises(LedgerConflict, match="breaks one of its rules"):
        _execute(shared, first.values(columns))


def test_no_gap_may_be(press: Ledger) -> None:
    lost = {"pipeline_id": 1, "generation": 1, "partition": 0, "cause": "c", "found_at": NOW}
    _refuse(press, tables.gap, {**lost, "start_offset": 5, "end_offset": 5})
    _refuse(press, tables.gap, {**lost, "start_offset": -1, "end_offset": 5})
    _refuse(press, tables.gap, {**lost, "start_offset": 0, "end_offset": 5, "pipeline_id": 99})
    _insert(press, tables.gap, {**lost, "start_offset": 0, "end_offset": 5})
    _refuse(press, tables.gap, {**lost, "start_offset": 0, "end_offset": 9})


def test_a_gap_is_signed_by_name_and_with_a_reason(press: Ledger) -> None:
    gap = press.record_gap("press-a", partition=0, start=0, end=9, cause="retention")
    for who, reason in (("", "because"), ("anna", "")):
        with pytest.raises(LedgerConflict, match="breaks one of its rules"):
            press.accept_gap(gap, who=who, reason=reason)
    with pytest.raises(LedgerConflict):
        _execute(press, update(tables.gap).values(accepted_by="anna"))


def test_an_action_is_somebodys(press: Ledger) -> None:
    done = {"done_at": NOW, "who": "anna", "what": "unblock", "detail": ""}
    _refuse(press, tables.action, {**done, "who": ""})
    _refuse(press, tables.action, {**done, "pipeline_id": 99})


def test_actions_are_never_changed(press: Ledger) -> None:
    press.block("press-a", reason="r", digest=None)
    press.unblock("press-a", who="anna")
    for statement in ("UPDATE action SET who = 'otto'", "DELETE FROM action"):
        with pytest.raises(LedgerConflict, match="append-only"):
            _execute(press, text(statement))


def test_there_is_one_ledger_row(press: Ledger) -> None:
    _refuse(press, tables.ledger, {"id": 2, "epoch": "e", "created_at": NOW})
    _refuse(press, tables.ledger, {"id": 1, "epoch": "e", "created_at": NOW})
    with pytest.raises(LedgerConflict, match="breaks one of its rules"):
        _execute(press, update(tables.ledger).values(epoch=""))


def test_a_login_is_in_one_state(press: Ledger) -> None:
    _refuse(press, tables.login, {"digest": "d", "state": "trying"})
    _refuse(press, tables.login, {"digest": "d", "state": "refused"})
    _refuse(press, tables.login, {"digest": "d", "state": "free", "reason": "r"})
    _refuse(press, tables.login, {"digest": "d", "state": "odd"})


def test_ids_are_never_used_twice(press: Ledger) -> None:
    last = plan(press, OffsetRange(0, 0, 1))
    with press._transactions.write() as connection:
        connection.execute(delete(tables.batch_range))
        connection.execute(delete(tables.batch))
    assert plan(press, OffsetRange(0, 1, 2)) > last


def test_a_broken_rule_takes_the_whole_transaction_back(press: Ledger) -> None:
    batch = carried(press, OffsetRange(0, 0, 3))
    with pytest.raises(LedgerConflict):
        _execute(press, delete(tables.current), update(tables.batch).values(kind="dead"))
    assert press.counts(batch.pipeline).records == 3
    assert put(press, batch) == []
