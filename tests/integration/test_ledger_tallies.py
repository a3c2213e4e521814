"""Totals of batches that a gap holds back: counted by their rows, in one query."""

from __future__ import annotations

from fixtures.ledgers import PIPELINE, carried
from sqlalchemy import event

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.store import Ledger


def asked(ledger: Ledger) -> int:
    statements: list[str] = []

    def note(*told: object) -> None:
        statements.append(str(told[2]))

    readers = ledger._transactions._readers
    event.listen(readers, "before_cursor_execute", note)
    ledger.counts(PIPELINE)
    event.remove(readers, "before_cursor_execute", note)
    return len(statements)


def test_what_is_asked_does_not_grow_with_the_batches_that_a_gap_holds(press: Ledger) -> None:
    press.record_gap(PIPELINE, partition=0, start=0, end=5, cause="retention")
    numbers = []
    for at in range(5, 13, 2):
        press.commit(carried(press, OffsetRange(0, at, at + 2)).id)
        numbers.append(asked(press))
    assert 1 == len(set(numbers)), numbers
    counts = press.counts(PIPELINE)
    assert (8, 8, {"good": 8}) == (counts.records, counts.delivered, counts.labels)
