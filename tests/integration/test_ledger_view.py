"""The view `predictions`, for those who analyse: its columns are documented and stay."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from fixtures.ledgers import PIPELINE, add_replay, claim, deliver, judged, put, record, row
from sqlalchemy import text

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.store import Ledger

PAGE = (Path(__file__).parents[2] / "docs/ledger.md").read_text(encoding="utf-8")


def view(ledger: Ledger) -> list[dict]:
    query = text('SELECT * FROM predictions ORDER BY "partition", "offset"')
    with ledger._transactions.read() as connection:
        return [dict(line) for line in connection.execute(query).mappings()]


def test_its_columns_are_those_of_the_document(press: Ledger) -> None:
    judged(press, OffsetRange(0, 0, 1))
    documented = re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)
    assert documented == list(view(press)[0])


def test_it_shows_the_last_word_on_each_record(press: Ledger) -> None:
    said = [row(0, 0), row(0, 1, quarantine=("damaged", "no end")), row(0, 2)]
    batch = judged(press, OffsetRange(0, 0, 3), said=said)
    put(press, batch)
    first, second, _ = view(press)
    moment = first["timestamp"]
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    assert datetime.fromtimestamp(1_763_000_000, tz=UTC) == moment
    told = ("pipeline", "topic", "name", "label", "score", "outcome", "reason", "batch")
    assert [
        (PIPELINE, "press-a.images", "cam_0.jpg", "good", 0.75, "delivered", None, batch.id),
        (PIPELINE, "press-a.images", "cam_1.jpg", None, None, "quarantined", "damaged", batch.id),
    ] == [tuple(line[name] for name in told) for line in (first, second)]
    assert "j" * 64 == first["model_digest"]
    assert first["delivered_at"] is not None
    assert second["delivered_at"] is None


def test_a_replay_is_shown_in_the_place_of_what_it_replaced(press: Ledger) -> None:
    batch = judged(press, OffsetRange(0, 0, 2), said=[row(0, 0), row(0, 1, quarantine=("x", ""))])
    deliver(press, batch)
    press.commit(batch.id)
    replay = add_replay(press, "reinfer", OffsetRange(0, 0, 2))
    again = claim(press, replay)
    record(press, again.token, [row(0, 0, label="scratch"), row(0, 1, label="scratch")])
    deliver(press, again)
    assert [("scratch", None, replay)] * 2 == [
        (line["label"], line["reason"], line["batch"]) for line in view(press)
    ]


def test_a_timestamp_of_no_calendar_is_none(press: Ledger) -> None:
    judged(press, OffsetRange(0, 0, 2))
    with press._transactions.write() as connection:
        change = 'UPDATE record SET timestamp_ms = :t WHERE "offset" = :o'
        for offset, stamp in ((0, -1), (1, 2**62)):
            connection.execute(text(change), {"t": stamp, "o": offset})
    assert [None, None] == [line["timestamp"] for line in view(press)]
