"""What the ledger knows of records finds their offsets: by reason of quarantine, by time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from threading import Barrier

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
    rows,
)

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.records import NamedPrediction
from frameferry.domain.selection import OfBatch, Quarantined, Ranges
from frameferry.errors import ConfigError, LedgerConflict
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger

DARK = ("too dark", "")
TORN = ("truncated", "ends early")


def committed(ledger: Ledger, *ranges: OffsetRange, said: list[NamedPrediction]) -> None:
    batch = judged(ledger, *ranges, said=said)
    deliver(ledger, batch)
    ledger.commit(batch.id)


def at(offset: int, timestamp_ms: int) -> NamedPrediction:
    made = row(0, offset)
    return replace(made, prediction=replace(made.prediction, timestamp_ms=timestamp_ms))


def test_what_is_quarantined_for_a_reason_is_found_and_nothing_beside_it(press: Ledger) -> None:
    bad = {2: TORN, 3: TORN, 4: DARK, 5: TORN}
    said = [row(0, offset, quarantine=bad.get(offset)) for offset in range(7)]
    committed(press, OffsetRange(0, 0, 7), said=said)
    committed(press, OffsetRange(1, 0, 1), said=[row(1, 0, quarantine=TORN)])
    # Not committed yet: the next runs deliver it, or not.
    judged(press, OffsetRange(1, 1, 2), said=[row(1, 1, quarantine=TORN)])
    found = press.quarantined_ranges(PIPELINE, "truncated")
    assert [OffsetRange(0, 2, 4), OffsetRange(0, 5, 6), OffsetRange(1, 0, 1)] == found
    assert [OffsetRange(0, 4, 5)] == press.quarantined_ranges(PIPELINE, "too dark")
    assert [] == press.quarantined_ranges(PIPELINE, "none")
    assert [] == press.quarantined_ranges("nobody", "truncated")


def test_what_a_replay_resolved_is_found_no_more(press: Ledger) -> None:
    said = [row(0, offset, quarantine=TORN) for offset in range(2)]
    committed(press, OffsetRange(0, 0, 2), said=said)
    batch = claim(press, add_replay(press, "reinfer", OffsetRange(0, 0, 1)))
    record(press, batch.token, [row(0, 0)])
    deliver(press, batch)
    assert [OffsetRange(0, 1, 2)] == press.quarantined_ranges(PIPELINE, "truncated")


def test_a_window_is_exact_though_timestamps_do_not_rise(press: Ledger) -> None:
    times = {0: 10, 1: 50, 2: 20, 3: 20, 5: 29, 6: 30, 7: 21, 9: 9}
    said = [at(offset, time) for offset, time in times.items()]
    committed(press, OffsetRange(0, 0, 10), said=said)

    def found(start: int, end: int, floor: int = 0) -> list[tuple[int, int]]:
        floors = {0: floor}
        ranges = press.window_ranges(PIPELINE, start_ms=start, end_ms=end, floors=floors)
        return [(one.start, one.end) for one in ranges]

    # Offset 4 is a marker: it lies within, and no record of another time does.
    assert [(2, 6), (7, 8)] == found(20, 30)
    assert [(7, 8)] == found(20, 30, floor=6)
    assert [(0, 1), (9, 10)] == found(0, 11)
    assert [(0, 10)] == found(0, 100)
    assert [] == found(60, 70)
    assert [] == press.window_ranges("nobody", start_ms=0, end_ms=9, floors={})


def test_a_window_ends_where_the_committed_offset_is(press: Ledger) -> None:
    committed(press, OffsetRange(0, 0, 2), said=[at(0, 10), at(1, 11)])
    judged(press, OffsetRange(0, 2, 4), said=[at(2, 12), at(3, 13)])
    found = press.window_ranges(PIPELINE, start_ms=0, end_ms=99, floors={})
    assert [OffsetRange(0, 0, 2)] == found


@pytest.fixture
def shipped(press: Ledger) -> Ledger:
    """Four offsets of each of two partitions, committed."""
    for partition in (0, 1):
        batch = carried(press, OffsetRange(partition, 0, 4))
        press.commit(batch.id)
    return press


def ask(ledger: Ledger, *pieces: OffsetRange, who: str = "anna") -> tuple[int, ...]:
    return ledger.add_replay(
        PIPELINE,
        selection=Ranges(pieces),
        mode="redeliver",
        pieces=[[piece] for piece in pieces],
        sentence="again",
        config_digest="c",
        who=who,
    )


def test_all_pieces_of_a_replay_are_frozen_or_none(shipped: Ledger) -> None:
    good, bad = OffsetRange(0, 0, 4), OffsetRange(1, 2, 9)
    with pytest.raises(ConfigError, match="not committed yet"):
        ask(shipped, good, bad)
    assert [] == shipped.replays(PIPELINE)
    state = shipped.pipeline_state(PIPELINE)
    assert state is not None
    assert () == state.open_batches
    first, second = ask(shipped, good, OffsetRange(1, 2, 4))
    [known] = shipped.replays(PIPELINE)
    assert ("anna", "redeliver", "open") == (known.who, known.mode, known.state)
    assert (first, second) == known.open_batches
    assert known.selection == Ranges((OffsetRange(1, 2, 4), good))
    assert known == shipped.open_replay(PIPELINE, known.selection, "redeliver")
    assert shipped.open_replay(PIPELINE, known.selection, "reinfer") is None
    assert shipped.open_replay(PIPELINE, OfBatch(1), "redeliver") is None
    for batch_id in (first, second):
        batch = claim(shipped, batch_id)
        deliver(shipped, batch)
        shipped.commit(batch_id)
    [known] = shipped.replays(PIPELINE)
    assert ("done", 2, ()) == (known.state, known.batches, known.open_batches)
    assert shipped.open_replay(PIPELINE, known.selection, "redeliver") is None


def test_of_two_replays_of_several_pieces_at_once_one_has_all_and_one_none(
    ledger_url: str, shipped: Ledger
) -> None:
    barrier = Barrier(2)
    mine = (OffsetRange(0, 0, 4), OffsetRange(1, 0, 2))
    yours = (OffsetRange(0, 2, 4), OffsetRange(1, 2, 4))

    def replay(pieces: tuple[OffsetRange, ...]) -> str:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            try:
                ask(ledger, *pieces)
            except ConfigError as error:
                return str(error)
            return ""

    with ThreadPoolExecutor(2) as pool:
        lost, won = sorted(pool.map(replay, (mine, yours)), reverse=True)
    assert not won
    assert "is under replay" in lost
    assert "of anna, which is open. Let it end; where nothing runs it any more" in lost
    [known] = shipped.replays(PIPELINE)
    assert 2 == len(known.open_batches)


def test_a_piece_of_a_split_belongs_to_its_replay(shipped: Ledger) -> None:
    batch = claim(shipped, add_replay(shipped, "reinfer", OffsetRange(0, 0, 4)))
    halves = [[OffsetRange(0, 0, 2)], [OffsetRange(0, 2, 4)]]
    ids = shipped.split_batch(batch.token, pieces=halves, is_charged=False, why="too big")
    [known] = shipped.replays(PIPELINE)
    assert (ids, 2) == (known.open_batches, known.batches)
    for batch_id, [part] in zip(ids, halves, strict=True):
        piece = claim(shipped, batch_id)
        record(shipped, piece.token, rows([part]))
        deliver(shipped, piece)
        shipped.commit(batch_id)
    assert "done" == shipped.replays(PIPELINE)[0].state


def test_a_replay_beside_the_live_flow_moves_no_offset_of_it(shipped: Ledger) -> None:
    live = plan(shipped, OffsetRange(0, 4, 6))
    [again] = ask(shipped, OffsetRange(0, 0, 4))
    batch = claim(shipped, again)
    deliver(shipped, batch)
    assert {0: 4, 1: 4} == shipped.commit(again)
    assert {0: 4, 1: 4} == shipped.committed_offsets(PIPELINE)
    state = shipped.pipeline_state(PIPELINE)
    assert state is not None
    assert {0: 6, 1: 4} == {of: one.planned for of, one in state.progress.items()}
    batch = claim(shipped, live)
    record(shipped, batch.token, rows([OffsetRange(0, 4, 6)]))
    deliver(shipped, batch)
    assert {0: 6, 1: 4} == shipped.commit(live)


def test_who_asked_and_for_what_is_never_empty(shipped: Ledger) -> None:
    with pytest.raises(LedgerConflict, match="breaks one of its rules"):
        ask(shipped, OffsetRange(0, 0, 4), who="")
    assert [] == shipped.replays(PIPELINE)


def test_the_newest_replays_are_listed_first(shipped: Ledger) -> None:
    asked = [Ranges((OffsetRange(0, start, start + 1),)) for start in range(3)]
    for one in asked:
        ask(shipped, *one.ranges)
    listed = shipped.replays(PIPELINE, limit=2)
    assert [asked[2], asked[1]] == [one.selection for one in listed]
    assert [] == shipped.replays("nobody")
    assert shipped.open_replay("nobody", Quarantined("x"), "reinfer") is None


def labelled(offset: int, label: str | None, score: float, partition: int = 0) -> NamedPrediction:
    made = row(partition, offset, label=label)
    return replace(made, prediction=replace(made.prediction, score=score))


def predicted(
    ledger: Ledger, *among: OffsetRange, most: int = 99, **what: object
) -> list[OffsetRange]:
    wanted = {"label": None, "below": None, "window_ms": None, **what}
    return ledger.predicted_ranges(PIPELINE, among, most=most, **wanted)  # type: ignore[arg-type]


def test_what_has_a_label_or_a_low_score_is_found_and_nothing_beside_it(press: Ledger) -> None:
    said = [labelled(at, "bad" if at in {1, 2, 5} else "good", at / 10) for at in range(8)]
    committed(
        press, OffsetRange(0, 0, 8), OffsetRange(1, 0, 1), said=[*said, row(1, 0, label="bad")]
    )
    everywhere = (OffsetRange(0, 0, 8), OffsetRange(1, 0, 1))
    bad = [OffsetRange(0, 1, 3), OffsetRange(0, 5, 6), OffsetRange(1, 0, 1)]
    assert bad == predicted(press, *everywhere, label="bad")
    assert [OffsetRange(0, 0, 4)] == predicted(press, *everywhere, below=0.4)
    assert [OffsetRange(0, 1, 3)] == predicted(press, *everywhere, label="bad", below=0.4)
    assert [OffsetRange(0, 2, 3)] == predicted(press, OffsetRange(0, 2, 4), label="bad")
    first = 1_763_000_000_000
    assert [OffsetRange(0, 1, 2)] == predicted(
        press, *everywhere, label="bad", window_ms=(first + 1, first + 2)
    )
    assert [] == predicted(press, *everywhere, label="stain")
    assert 2 == len(predicted(press, *everywhere, label="bad", most=1))


def test_what_a_replay_says_otherwise_now_is_found_by_that(press: Ledger) -> None:
    committed(press, OffsetRange(0, 0, 2), said=[row(0, at, label="bad") for at in range(2)])
    batch = claim(press, add_replay(press, "reinfer", OffsetRange(0, 0, 1)))
    record(press, batch.token, [row(0, 0, label="good")])
    deliver(press, batch)
    assert [OffsetRange(0, 1, 2)] == predicted(press, OffsetRange(0, 0, 2), label="bad")
    assert [OffsetRange(0, 0, 1)] == predicted(press, OffsetRange(0, 0, 2), label="good")


def test_the_last_failed_batch_is_the_newest_live_one_that_met_trouble(press: Ledger) -> None:
    assert press.last_failed_batch("nobody") is None
    first = carried(press, OffsetRange(0, 0, 2))
    assert press.last_failed_batch(PIPELINE) is None
    second = claim(press, plan(press, OffsetRange(0, 2, 4)))
    press.count_failure(second.token, "failure", error="it died")
    third = claim(press, plan(press, OffsetRange(0, 4, 6)))
    assert second.id == press.last_failed_batch(PIPELINE)
    press.record_failure(third.token, error="Spark is down", retry_after_seconds=1)
    assert third.id == press.last_failed_batch(PIPELINE)
    press.commit(first.id)
    replay = claim(press, add_replay(press, "reinfer", OffsetRange(0, 0, 2)))
    press.record_failure(replay.token, error="Spark is down", retry_after_seconds=1)
    assert third.id == press.last_failed_batch(PIPELINE)


def test_a_failed_batch_that_was_split_is_named_by_its_whole(press: Ledger) -> None:
    whole = claim(press, plan(press, OffsetRange(0, 0, 2)))
    halves = [[OffsetRange(0, 0, 1)], [OffsetRange(0, 1, 2)]]
    _, second = press.split_batch(whole.token, pieces=halves, why="it failed", is_charged=True)
    piece = claim(press, second)
    press.count_failure(piece.token, "failure", error="it died")
    assert whole.id == press.last_failed_batch(PIPELINE)


def test_the_bytes_of_what_stands_are_added_up(press: Ledger) -> None:
    said = [row(0, 0, value=b"12345"), row(0, 1, value=b"123", quarantine=TORN)]
    committed(press, OffsetRange(0, 0, 2), said=said)
    wanted = [OffsetRange(0, 0, 2)]
    assert 5 == press.standing_bytes(PIPELINE, wanted, ["delivered"])
    assert 8 == press.standing_bytes(PIPELINE, wanted, ["delivered", "quarantined"])
    assert 0 == press.standing_bytes("nobody", wanted, ["delivered"])
