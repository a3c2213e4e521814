"""Listings: what people ask, and that the answers are found by an index."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase

import pytest
from fixtures.ledgers import (
    PIPELINE,
    add_replay,
    carried,
    claim,
    deliver,
    judged,
    plan,
    record,
    row,
)
from sqlalchemy import text

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction, Prediction
from frameferry.ledger.store import Ledger


def _named(offset: int, name: str | None, timestamp_ms: int = 0) -> NamedPrediction:
    said = Prediction(0, offset, timestamp_ms, name, 1, "0" * 64, "good", 0.5)
    return NamedPrediction(said, f"/press-a/{offset}.jpg")


def _offsets(ledger: Ledger, glob: str, limit: int = 1000) -> list[int]:
    return [line.offset for line in ledger.records(PIPELINE, name_glob=glob, limit=limit)]


def test_nothing_is_known_of_an_unknown_pipeline(ledger: Ledger) -> None:
    counts = ledger.counts(PIPELINE)
    assert (counts.records, counts.batches, counts.labels) == (0, 0, {})
    assert ledger.records(PIPELINE) == []
    assert ledger.quarantined(PIPELINE) == []
    assert ledger.last_batches(PIPELINE) == []
    assert ledger.count_standing(PIPELINE, [OffsetRange(0, 0, 1)]) == (0, 0)


def test_the_counts_are_of_the_rows_that_stand(press: Ledger) -> None:
    said = [
        row(0, 0),
        row(0, 1, label="hole"),
        row(0, 2, label="hole"),
        row(0, 3, quarantine=("empty", "")),
        row(0, 4, quarantine=("empty", "")),
        row(0, 5, quarantine=("truncated", "")),
    ]
    deliver(press, judged(press, OffsetRange(0, 0, 9), said=said))
    judged(press, OffsetRange(1, 0, 2))
    press.record_gap(PIPELINE, partition=1, start=2, end=9, cause="retention")
    counts = press.counts(PIPELINE)
    assert (counts.records, counts.delivered, counts.quarantined) == (8, 3, 3)
    assert (counts.gaps, counts.batches, counts.duplicates) == (7, 2, 0)
    assert counts.labels == {"good": 1, "hole": 2}
    assert counts.reasons == {"empty": 2, "truncated": 1}
    assert press.count_standing(PIPELINE, [OffsetRange(0, 1, 4)]) == (2, 1)


def test_records_are_found_by_position_and_label(press: Ledger) -> None:
    deliver(press, judged(press, OffsetRange(0, 0, 3), OffsetRange(1, 0, 3)))
    other = judged(press, OffsetRange(1, 3, 4), said=[row(1, 3, label="hole")])
    deliver(press, other)
    assert [(line.partition, line.offset) for line in press.records(PIPELINE, offset=1)] == [
        (0, 1),
        (1, 1),
    ]
    assert [line.partition for line in press.records(PIPELINE, partition=1, offset=2)] == [1]
    assert [line.batch for line in press.records(PIPELINE, label="hole")] == [other.id]
    assert [line.offset for line in press.records(PIPELINE, limit=2)] == [0, 1]
    assert press.records(PIPELINE, partition=7) == []


def test_records_of_a_label_come_by_position_and_only_where_they_stand(press: Ledger) -> None:
    said = [row(0, at, label="hole" if at % 2 else "good") for at in range(6)]
    first = judged(press, OffsetRange(0, 0, 6), OffsetRange(1, 0, 1), said=[row(1, 0), *said])
    deliver(press, first)
    press.commit(first.id)
    holes = press.records(PIPELINE, label="hole")
    assert [(0, 1), (0, 3), (0, 5)] == [(one.partition, one.offset) for one in holes]
    goods = press.records(PIPELINE, label="good", limit=4)
    assert [(0, 0), (0, 2), (0, 4), (1, 0)] == [(one.partition, one.offset) for one in goods]
    assert [3] == [one.offset for one in press.records(PIPELINE, label="hole", offset=3)]
    again = add_replay(press, "reinfer", OffsetRange(0, 3, 4))
    replay = claim(press, again)
    path = "/press-a/again/3.jpg"
    record(press, replay.token, [row(0, 3, label="stain", path=path)])
    deliver(press, replay)
    press.commit(replay.id)
    assert [1, 5] == [one.offset for one in press.records(PIPELINE, label="hole")]
    assert [3] == [one.offset for one in press.records(PIPELINE, label="stain")]


LONG = "x" * 63
BOUNDS = [
    "a",
    "a\ud7ff!",
    "a\ue000",
    "a\U0010ffff",
    "a\U0010ffff\U0010ffff",
    "b",
    "A",
    "\U0010ffff",
    f"{LONG}yz",
    f"{LONG}yZ",
    f"{LONG}y",
    LONG,
]


@pytest.mark.parametrize("glob", [*BOUNDS, *(f"{name}*" for name in BOUNDS), f"{LONG}?[zZ]"])
def test_a_beginning_finds_what_looking_at_every_name_finds(press: Ledger, glob: str) -> None:
    batch = claim(press, plan(press, OffsetRange(0, 0, 99)))
    record(press, batch.token, [_named(at, name) for at, name in enumerate(BOUNDS)])
    assert [at for at, name in enumerate(BOUNDS) if fnmatchcase(name, glob)] == _offsets(
        press, glob
    )


def test_where_more_begin_so_than_are_wanted_the_first_by_name_are_listed(press: Ledger) -> None:
    names = ["c", "a", "b", "a2", "ab"]
    batch = claim(press, plan(press, OffsetRange(0, 0, 9)))
    record(press, batch.token, [_named(at, f"cam{name}") for at, name in enumerate(names)])
    assert [1, 3] == _offsets(press, "cam*", limit=2)
    assert [1, 3, 4] == _offsets(press, "cama*")


def test_a_path_is_found_with_its_duplicates(press: Ledger) -> None:
    path = "/press-a/twice.jpg"
    said = [row(0, at, value=b"same", path=path) for at in range(2)]
    deliver(press, judged(press, OffsetRange(0, 0, 2), said=said))
    assert (1, 1) == (press.counts(PIPELINE).delivered, press.counts(PIPELINE).duplicates)
    assert [0, 1] == _offsets(press, path)


def test_a_path_is_found_also_of_what_holds_no_name(press: Ledger) -> None:
    refused = row(0, 1, path="/press-a/refused.jpg", quarantine=("empty", ""))
    deliver(
        press, judged(press, OffsetRange(0, 0, 2), said=[row(0, 0, path="/press-a/A.jpg"), refused])
    )
    assert [0] == _offsets(press, "/press-a/A.jpg")
    assert [] == _offsets(press, "/press-a/a.jpg")
    assert [1] == _offsets(press, "/press-a/refused.jpg")


def test_records_are_found_by_a_glob_on_name_or_path(press: Ledger) -> None:
    names = ["cam1_good.jpg", "CAM1_good.jpg", "cam2%.jpg", "cam[3].jpg", None, "a\\b_c.jpg"]
    batch = claim(press, plan(press, OffsetRange(0, 0, 9)))
    record(press, batch.token, [_named(at, name) for at, name in enumerate(names)])
    assert _offsets(press, "cam1*") == [0]
    assert _offsets(press, "?am1_good.jpg") == [0]
    assert _offsets(press, "*%*") == [2]
    assert _offsets(press, "cam[[]3].jpg") == [3]
    assert _offsets(press, "[cC]*1_*") == [0, 1]
    assert _offsets(press, "/press-a/4*") == [4]
    assert _offsets(press, "a\\b_c*") == [5]
    assert _offsets(press, "*.jpg", limit=3) == [0, 1, 2]
    assert _offsets(press, "nothing") == []


@pytest.mark.parametrize(
    ("timestamp_ms", "moment"),
    [
        (1_763_000_000_123, datetime(2025, 11, 13, 2, 13, 20, 123_000, tzinfo=UTC)),
        (0, datetime(1970, 1, 1, tzinfo=UTC)),
        (-1, None),
        (2**62, None),
    ],
)
def test_kafkas_timestamp_is_shown_where_it_is_one(
    press: Ledger, timestamp_ms: int, moment: datetime | None
) -> None:
    judged(press, OffsetRange(0, 0, 1), said=[_named(0, "n", timestamp_ms)])
    assert [line.timestamp for line in press.records(PIPELINE)] == [moment]


def test_the_last_batches_come_newest_first(press: Ledger) -> None:
    first = carried(press, OffsetRange(0, 0, 3))
    press.commit(first.id)
    second = claim(press, plan(press, OffsetRange(0, 3, 5), OffsetRange(1, 0, 1)))
    press.record_failure(second.token, error="Spark is down", retry_after_seconds=9)
    newest, oldest = press.last_batches(PIPELINE)
    assert (newest.id, newest.ranges, newest.record_count, newest.last_error) == (
        second.id,
        (OffsetRange(0, 3, 5), OffsetRange(1, 0, 1)),
        None,
        "Spark is down",
    )
    assert (oldest.id, oldest.record_count, oldest.attempt) == (first.id, 3, 1)
    assert oldest.planned_at <= oldest.committed_at  # type: ignore[operator]
    assert [line.id for line in press.last_batches(PIPELINE, limit=1)] == [second.id]


HOT = {
    "the fence": "UPDATE batch SET attempt = 1 WHERE id = 1 AND attempt = 1 AND split_at IS NULL",
    "open leaves": "SELECT id FROM batch WHERE pipeline_id = 1 AND generation = 1"
    " AND committed_at IS NULL AND split_at IS NULL ORDER BY id",
    "what is due": "SELECT id FROM record WHERE batch_id = 1 AND outcome IS NULL",
    "who holds a name": "SELECT id FROM record WHERE destination = 'd' AND name_key IN ('a', 'b')",
    "one record": "SELECT record_id FROM current WHERE pipeline_id = 1 AND generation = 1"
    ' AND "partition" = 0 AND "offset" = 7',
    "a batch's ranges": "SELECT start_offset FROM batch_range WHERE batch_id = 1",
    "duplicates of a record": "SELECT id FROM record WHERE duplicate_of = 1",
}


@pytest.mark.parametrize("query", HOT.values(), ids=HOT)
def test_hot_queries_use_an_index(press: Ledger, query: str) -> None:
    """On PostgreSQL with table scans forbidden, so that only a missing index leaves one."""
    with press._transactions.write() as connection:
        if connection.dialect.name == "sqlite":
            lines = connection.execute(text(f"EXPLAIN QUERY PLAN {query}")).all()
            assert all("SCAN" not in line[-1] for line in lines), lines
        else:
            connection.execute(text("SET LOCAL enable_seqscan = off"))
            lines = connection.execute(text(f"EXPLAIN {query}")).all()
            assert all("Seq Scan" not in line[0] for line in lines), lines
