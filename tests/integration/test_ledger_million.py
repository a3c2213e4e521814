"""A ledger with a million records: what runs all day finds its rows by an index."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from fixtures.large_ledger import EACH, analyse, fill
from fixtures.ledgers import (
    DATABASES,
    DESTINATION,
    LATELY,
    PIPELINE,
    add_replay,
    claim,
    count,
    fresh_database,
    intend,
    plan,
    receive,
    record,
    register,
    rows,
)
from sqlalchemy import Connection, event, text

from frameferry.domain.audit import Span
from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.database.tables import record as record_table
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.progress.pipelines import PipelineKey
from frameferry.ledger.records import replays
from frameferry.ledger.records.names import find_holders, name_key
from frameferry.ledger.store import Ledger
from frameferry.ledger.upkeep import copying

BATCHES = 500
RECORDS = BATCHES * EACH
STATUS_SECONDS = 0.5
"""Generous: on two busy cores the questions of `status` take 10 to 30 ms; a scan takes seconds."""
_LARGE = "record|current|quarantine|kept_name"
_SCANS = {
    "sqlite": re.compile(
        r"SCAN (?!quarantine USING INDEX ix_quarantine_open)"
        rf"(?:{_LARGE}|duplicate|older|holder|batch|batch_range)\b"
    ),
    "postgresql": re.compile(
        rf"Seq Scan on (?:{_LARGE})\b|Index Scan using pk_(?:{_LARGE}) .*\n(?! *Index Cond)"
    ),
}
"""
Tables of one row a batch are small: PostgreSQL is right to read them as a whole. The index of open
quarantines holds what is asked for and nothing else.
"""
_WALKS = {"sqlite": re.compile(r"SEARCH batch USING .*INDEX ix_batch_pipeline \(pipeline_id=\?\)")}
"""All batches of a pipeline that there ever were: nothing where a LIMIT ends it after a few."""


@pytest.fixture(scope="module", params=DATABASES)
def million(request, tmp_path_factory) -> Iterator[Ledger]:
    with (
        fresh_database(request, request.param, tmp_path_factory.mktemp("million")) as url,
        closing(open_ledger(url)) as ledger,
    ):
        register(ledger)
        fill(ledger, BATCHES)
        ledger.commit(carry(ledger, OffsetRange(1, 0, 5)))
        analyse(ledger)
        yield ledger


def carry(ledger: Ledger, wanted: OffsetRange) -> int:
    batch = claim(ledger, plan(ledger, wanted))
    record(ledger, batch.token, rows([wanted]))
    due = ledger.consignments(batch.token)
    intend(ledger, batch, due[1:])
    ledger.withdraw_intents(batch.token, [due[1].record_id])
    ledger.open_intents(batch.token)
    receive(ledger, batch, due[2:])
    intend(ledger, batch, due[:2])
    receive(ledger, batch, due[:2])
    ledger.record_census(batch.token, count(ledger, batch), seconds=1.0)
    return batch.id


@contextmanager
def explained(
    ledger: Ledger, sought: Mapping[str, re.Pattern[str]] = _SCANS
) -> Iterator[list[tuple[str, str]]]:
    """Explain every statement as it runs; collect those that scan a large table, or what else."""
    scans: list[tuple[str, str]] = []
    is_busy = False

    def explain(connection: Connection, _: Any, statement: str, values: Any, *__: Any) -> None:
        nonlocal is_busy
        if is_busy or not re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)", statement):
            return
        is_busy = True
        dialect = connection.dialect.name
        verb = "EXPLAIN QUERY PLAN" if dialect == "sqlite" else "EXPLAIN"
        one = values[0] if isinstance(values, list) else values
        lines = connection.exec_driver_sql(f"{verb} {statement}", one).all()
        told = "\n".join(str(line[-1]) for line in lines)
        if sought[dialect].search(told):
            scans.append((statement, told))
        is_busy = False

    engine = ledger._transactions._engine
    targets = {engine, ledger._transactions._readers, ledger._transactions._writers}
    for target in targets:
        event.listen(target, "before_cursor_execute", explain)
    try:
        yield scans
    finally:
        for target in targets:
            event.remove(target, "before_cursor_execute", explain)


ASKED: dict[str, Callable[[Ledger], object]] = {
    "state": lambda ledger: ledger.pipeline_state(PIPELINE),
    "overview": lambda ledger: ledger.overview(PIPELINE, **LATELY),
    "counts": lambda ledger: ledger.counts(PIPELINE),
    "committed offsets": lambda ledger: ledger.committed_offsets(PIPELINE),
    "one record": lambda ledger: ledger.records(PIPELINE, partition=0, offset=777_777),
    "first records": lambda ledger: ledger.records(PIPELINE, limit=50),
    "records of a label": lambda ledger: ledger.records(PIPELINE, label="hole", limit=9),
    "records of no label": lambda ledger: ledger.records(PIPELINE, label="none", limit=9),
    "records of a name": lambda ledger: ledger.records(PIPELINE, name_glob="cam_4711.jpg"),
    "records of a name's beginning": lambda ledger: ledger.records(
        PIPELINE, name_glob="cam_47*", limit=50
    ),
    "a record by its path": lambda ledger: ledger.records(
        PIPELINE, name_glob="/press-a/cam_1-0.jpg"
    ),
    "quarantine": lambda ledger: ledger.quarantined(PIPELINE),
    "gaps": lambda ledger: ledger.gaps(PIPELINE),
    "last batches": lambda ledger: ledger.last_batches(PIPELINE),
    "a range's standing rows": lambda ledger: ledger.count_standing(
        PIPELINE, [OffsetRange(0, 5000, 5100)]
    ),
    "unfinished": lambda ledger: ledger.unfinished(PIPELINE, [1, 2, 3]),
    "replays": lambda ledger: ledger.replays(PIPELINE),
    "quarantined as": lambda ledger: ledger.quarantined_ranges(PIPELINE, "damaged"),
    "rows to audit": lambda ledger: ledger.audited_rows(
        PIPELINE,
        Span(1, 0, 0, RECORDS),
        start=RECORDS // 2,
        limit=100,
        began=datetime(2026, 11, 25, tzinfo=UTC),
    ),
    "ranges to audit": lambda ledger: ledger.counted_ranges(PIPELINE, 1, since=(0, 0), limit=9),
    "whose a path is": lambda ledger: ledger.known_paths(
        destination=DESTINATION, paths=["/press-a/cam_1-0.jpg", "/press-a/nobodys"]
    ),
    "a window's end": lambda ledger: ledger.window_ranges(
        PIPELINE, start_ms=0, end_ms=2**62, floors={0: RECORDS - 100, 1: 0}
    ),
}


@pytest.mark.parametrize("question", ASKED)
def test_a_question_scans_nothing_large(million: Ledger, question: str) -> None:
    with explained(million) as scans:
        ASKED[question](million)
    assert [] == scans


def test_a_batch_is_carried_without_a_scan(million: Ledger) -> None:
    start = million.pipeline_state(PIPELINE).progress[1].planned  # type: ignore[union-attr]
    with explained(million) as scans:
        million.commit(carry(million, OffsetRange(1, start, start + 8)))
    assert [] == scans, scans[0][0] + "\n" + scans[0][1]


def judge(ledger: Ledger) -> None:
    start = ledger.pipeline_state(PIPELINE).progress[1].planned  # type: ignore[union-attr]
    ranges = [OffsetRange(1, start, start + 2)]
    batch = claim(ledger, plan(ledger, *ranges))
    ledger.record_predictions(
        batch.token,
        rows(ranges),
        destination=DESTINATION,
        judge_digest=None,
        seconds=1,
        max_quarantine=20,
    )
    intend(ledger, batch, due := ledger.consignments(batch.token))
    receive(ledger, batch, due)
    ledger.record_census(batch.token, count(ledger, batch), seconds=1.0)
    ledger.commit(batch.id)


def refuse_pruned(ledger: Ledger) -> None:
    with ledger._transactions.read() as connection:
        replays._refuse_pruned(connection, PipelineKey(1, 1), PIPELINE, [OffsetRange(0, 40, 48)])


LOOKS: dict[str, Callable[[Ledger], object]] = {
    "state": lambda ledger: ledger.pipeline_state(PIPELINE),
    "a batch": judge,
    "a replay of what was not pruned": refuse_pruned,
}


@pytest.mark.parametrize("million", ["sqlite"], indirect=True)
@pytest.mark.parametrize("name", LOOKS)
def test_work_at_each_look_does_not_grow_with_the_batches_ever(million: Ledger, name: str) -> None:
    with explained(million, _WALKS) as walks:
        LOOKS[name](million)
    assert [] == [walk for walk in walks if "LIMIT" not in walk[0]]


def test_a_replay_is_carried_without_a_scan(million: Ledger) -> None:
    with explained(million) as scans:
        replay = add_replay(million, "redeliver", OffsetRange(0, 40, 48))
        batch = claim(million, replay)
        due = million.consignments(batch.token)
        intend(million, batch, due)
        receive(million, batch, due)
        million.record_census(batch.token, count(million, batch), seconds=1.0)
        million.commit(replay)
    assert [] == scans, scans[0][0] + "\n" + scans[0][1]


def test_the_holder_of_a_name_is_found_without_a_scan(million: Ledger) -> None:
    key = f"{4711:064d}"
    with explained(million) as scans, million._transactions.read() as connection:
        found = find_holders(connection, DESTINATION, [key, name_key("/press-a/none")])
    assert [4711] == [holder.position.offset for holder in found.values()]
    assert [] == scans


def test_the_view_is_asked_by_offset_without_a_scan(million: Ledger) -> None:
    query = text(
        "SELECT * FROM predictions WHERE pipeline = 'press-a' AND generation = 1"
        ' AND "partition" = 0 AND "offset" BETWEEN 5000 AND 5010'
    )
    with explained(million) as scans, million._transactions.read() as connection:
        assert 11 == len(connection.execute(query).all())
    assert [] == scans


def test_batches_that_are_held_back_are_counted_without_a_scan(million: Ledger) -> None:
    start = million.pipeline_state(PIPELINE).progress[1].planned  # type: ignore[union-attr]
    held = [carry(million, OffsetRange(1, at, at + 5)) for at in range(start, start + 20, 5)]
    with explained(million) as scans:
        million.counts(PIPELINE)
    million.commit(held[-1])
    assert [] == scans, scans[0][0] + "\n" + scans[0][1]


def test_records_are_copied_in_the_order_of_an_index(million: Ledger) -> None:
    """To sort them all would take as long as the whole copy, before its first row."""
    asked: list[str] = []
    with million._transactions.read() as connection:
        event.listen(connection, "before_cursor_execute", lambda *told: asked.append(told[2]))
        first = next(copying._chunks(connection, connection, record_table))
    assert copying.CHUNK_ROWS == len(first)
    [query] = asked
    with million._transactions.read() as connection:
        verb = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        told = str(connection.exec_driver_sql(f"{verb} {query}").all())
    assert not re.search("Sort|TEMP B-TREE", told), told


def test_what_status_asks_is_answered_at_once(million: Ledger) -> None:
    million.counts(PIPELINE)
    began = time.perf_counter()
    counts = million.counts(PIPELINE)
    million.pipeline_state(PIPELINE)
    took = time.perf_counter() - began
    assert counts.delivered > RECORDS
    assert took < STATUS_SECONDS, f"{took:.2f} s"
