"""Selections: what is wrong with one is said before anything is asked for."""

from __future__ import annotations

import json

import pytest

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.selection import (
    OfBatch,
    OneRecord,
    Predicted,
    Quarantined,
    Ranges,
    Selection,
    Window,
    read_moment,
)
from frameferry.domain.selection_json import as_options, parse, to_json
from frameferry.errors import ConfigError
from frameferry.operations.selecting import selected

MAY = 1_777_615_200_000
PLACE = '{"ranges": [{"partition": 0, "from": 2, "to": 6}]}'
TIME = '{"window": {"from": "2026-05-01T06:00:00.000Z", "to": "2026-05-01T06:00:00.001Z"}}'
EACH: dict[Selection, tuple[str, str]] = {
    Ranges((OffsetRange(0, 2, 6),)): (
        '{"ranges": [{"partition": 0, "from": 2, "to": 6}]}',
        "--partition 0 --from 2 --to 6",
    ),
    Ranges((OffsetRange(1, 0, 4), OffsetRange(0, 2, 6))): (
        '{"ranges": [{"partition": 0, "from": 2, "to": 6}, {"partition": 1, "from": 0, "to": 4}]}',
        "--range 0:2-6 --range 1:0-4",
    ),
    Window(MAY, MAY + 1): (
        '{"window": {"from": "2026-05-01T06:00:00.000Z", "to": "2026-05-01T06:00:00.001Z"}}',
        "--since 2026-05-01T06:00:00.000Z --until 2026-05-01T06:00:00.001Z",
    ),
    OfBatch(7): ('{"batch": 7}', "--batch 7"),
    OneRecord(0, 12): ('{"record": {"partition": 0, "offset": 12}}', "--record 0:12"),
    Quarantined("name taken"): ('{"quarantined": "name taken"}', "--quarantined 'name taken'"),
    Predicted("big hole", 0.6): (
        '{"predicted": {"label": "big hole", "below": 0.6}}',
        "--label 'big hole' --below 0.6",
    ),
    Predicted("bad", None, Ranges((OffsetRange(0, 2, 6),))): (
        f'{{"predicted": {{"label": "bad", "within": {PLACE}}}}}',
        "--label bad --partition 0 --from 2 --to 6",
    ),
    Predicted(None, 1.0, Window(MAY, MAY + 1)): (
        f'{{"predicted": {{"below": 1.0, "within": {TIME}}}}}',
        "--below 1.0 --since 2026-05-01T06:00:00.000Z --until 2026-05-01T06:00:00.001Z",
    ),
}


@pytest.mark.parametrize(("selection", "written"), EACH.items(), ids=map(str, EACH))
def test_each_is_written_and_read_back(selection: Selection, written: tuple[str, str]) -> None:
    assert written == (to_json(selection), as_options(selection))
    assert selection == parse(written[0])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("7", "exactly one key that is known, not: int"),
        ("{}", "exactly one key that is known, not: none"),
        ('{"batch": 1, "quarantined": "x"}', "not: batch, quarantined"),
        ('{"label": "scratch"}', "not: label"),
        ('{"batch": "7"}', 'batch of a selection cannot be "7"'),
        ('{"batch": true}', "batch of a selection cannot be true"),
        ('{"batch": 0}', "0 is no batch's number"),
        ('{"quarantined": " "}', "needs a reason"),
        ('{"ranges": []}', "needs at least one"),
        ('{"ranges": {"partition": 0}}', "ranges of a selection cannot be"),
        ('{"ranges": [{"partition": 0, "from": 1}]}', "ranges of a selection cannot be"),
        ('{"ranges": [{"partition": 0, "from": 1, "to": 1}]}', "not an offset range: from 1 to 1"),
        ('{"ranges": [{"partition": 0, "from": 1, "to": "2"}]}', "ranges.to of a selection cannot"),
        ('{"record": {"partition": -1, "offset": 0}}', "partition -1"),
        ('{"window": {"from": "yesterday", "to": "now"}}', "'yesterday' is not a moment"),
        ('{"window": {"from": "2026-05-01", "to": "2026-05-02"}}', "a moment without a zone"),
        (
            '{"window": {"from": "2026-05-02T00:00Z", "to": "2026-05-01T00:00Z"}}',
            "no window: it begins at 2026-05-02",
        ),
    ],
)
def test_what_is_wrong_with_its_json_is_said(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse(text)


def test_overlapping_ranges_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"0:\[2, 6\) and 0:\[5, 9\) overlap"):
        Ranges((OffsetRange(0, 5, 9), OffsetRange(0, 2, 6)))


def test_a_moment_keeps_its_milliseconds_in_any_zone() -> None:
    assert MAY == read_moment("2026-05-01T06:00:00Z") == read_moment("2026-05-01T08:00:00+02:00")
    assert MAY + 123 == read_moment("2026-05-01T06:00:00.123Z")


@pytest.mark.parametrize("selection", EACH, ids=map(str, EACH))
def test_what_a_person_fills_in_is_the_selection(selection: Selection) -> None:
    """As the options say it, each field of the form takes it."""
    assert selection == selected(**_filled(as_options(selection)))


def _filled(options: str) -> dict[str, object]:
    names = {"from": "start", "to": "end"}
    given: dict[str, object] = {}
    for option in options.split("--")[1:]:
        name, value = option.strip().split(" ", 1)
        plain = value.strip("'")
        if name == "below":
            given["below"] = float(plain)
        elif name == "range":
            given.setdefault("ranges", []).append(plain)  # type: ignore[attr-defined]
        else:
            given[names.get(name, name)] = int(plain) if plain.isdigit() else plain
    return given


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "nothing is selected. Give one of: partition, from and to; ranges"),
        ({"batch": 3, "record": "0:1"}, "select by a batch and by a record, or what"),
        ({"partition": 0, "start": 2}, "half of a selection is missing: partition, from and to"),
        ({"since": "2026-05-01T06:00Z"}, "half of a selection is missing: since and until"),
        ({"partition": 0, "start": 3, "end": 3}, "not an offset range"),
        ({"partition": -1, "start": 3, "end": 4}, "not an offset range"),
        ({"ranges": ["0:3-3"]}, "not an offset range: from 3 to 3"),
        ({"ranges": ["0-3"]}, "'0-3' is not an offset range. Give partition:from-to"),
        ({"record": "12"}, "'12' is not a record. Give partition:offset"),
        ({"batch": 0}, "0 is no batch's number"),
    ],
)
def test_a_selection_is_of_one_kind_and_whole(fields: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        selected(**fields)  # type: ignore[arg-type]


def test_equal_selections_are_equal_text() -> None:
    """An interrupted replay is found by it."""
    one, two = (OffsetRange(0, 2, 6), OffsetRange(1, 0, 4))
    assert to_json(Ranges((one, two))) == to_json(Ranges((two, one)))
    assert json.loads(to_json(Quarantined("zu groß"))) == {"quarantined": "zu groß"}
