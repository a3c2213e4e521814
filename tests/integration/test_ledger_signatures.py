"""Whoever acts is recorded by name, whatever characters it has, and however many."""

from __future__ import annotations

import pytest
from fixtures.ledgers import PIPELINE
from sqlalchemy import text

from frameferry.errors import LedgerConflict
from frameferry.ledger.store import Ledger

ODD = "Ada\x00\n\x1b[31m\u202e\udcff'); DROP TABLE action; -- 🚢 " + "x" * 10_000


def signed(ledger: Ledger) -> list[str]:
    with ledger._transactions.read() as connection:
        return list(connection.scalars(text("SELECT who FROM action ORDER BY id")))


def act(ledger: Ledger, who: str) -> None:
    ledger.block(PIPELINE, reason="the disk is full", digest=None)
    ledger.unblock(PIPELINE, who=who)


def test_an_odd_name_of_any_length_is_stored_on_one_line(press: Ledger) -> None:
    act(press, ODD)
    (who,) = signed(press)
    assert who.startswith(r"Ada\x00\n\x1b[31m\u202e\udcff'); DROP TABLE action; -- 🚢 xxx")
    assert len(who) == 300
    assert who.isprintable()


def test_two_persons_are_told_apart_where_only_the_end_of_their_names_differs(
    press: Ledger,
) -> None:
    for end in "ab":
        act(press, ODD + end)
    first, second = signed(press)
    assert first != second


def test_a_gap_is_signed_in_the_same_way(press: Ledger) -> None:
    start = press.pipeline_state(PIPELINE).progress[0].planned  # type: ignore[union-attr]
    gap = press.record_gap(PIPELINE, partition=0, start=start, end=start + 3, cause="retention")
    press.accept_gap(gap, who=ODD, reason="seen")
    assert signed(press) == [press.gaps(PIPELINE)[0].accepted_by]


def test_nobody_acts_without_a_name(press: Ledger) -> None:
    with pytest.raises(LedgerConflict):
        act(press, " ")
    assert signed(press) == []
