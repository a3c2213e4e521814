"""docs/audit.md has the keys of a report and the kinds of what it finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from frameferry.domain.audit import (
    SCHEMA_VERSION,
    Example,
    Finding,
    Kind,
    Repair,
    Repairs,
    Report,
    to_json,
)
from frameferry.operations.audit.collecting import Collector

PAGE = (Path(__file__).parents[2] / "docs/audit.md").read_text(encoding="utf-8")
KEYS, KINDS = PAGE.split("## Kinds")
NOW = datetime(2026, 12, 1, tzinfo=UTC)
REPORT = Report(
    pipeline="press-a",
    began_at=NOW,
    seconds=1.23456,
    since=NOW,
    until=None,
    with_kafka=True,
    records=2,
    files=1,
    sampled=0,
    findings=(Finding(Kind.missing, True, 1, "files", "send", (Example("/a", "0:1"),)),),
    repairs=Repairs(False, (Repair("redeliver", "0:[1, 2)", 1, (7,), "again"),), 0, 0),
)


def keys_of(value: Any, key: str = "") -> Iterator[str]:
    for name, inner in value.items():
        yield f"{key}{name}"
        match inner:
            case [dict(), *_]:
                yield from keys_of(inner[0], f"{key}{name}[].")
            case dict():
                yield from keys_of(inner, f"{key}{name}.")


def test_the_table_has_the_keys_of_the_json_in_their_order() -> None:
    documented = re.findall(r"^\| `([^`]+)` \|", KEYS, re.MULTILINE)
    assert documented == list(keys_of(to_json(REPORT)))
    assert SCHEMA_VERSION == 1, "write down what the new version has"


def test_the_table_has_the_kinds_in_their_order_and_says_which_are_wrong() -> None:
    documented = re.findall(r"^\| `(\w+)` \| .+ \| (yes|no) \|$", KINDS, re.MULTILINE)
    assert documented == [(kind.value, "yes" if kind.is_wrong else "no") for kind in Kind]


def test_times_and_numbers_are_told_as_the_page_says() -> None:
    told = to_json(REPORT)
    assert ("2026-12-01T00:00:00+00:00", 1.235) == (told["began_at"], told["seconds"])
    assert ([7], False) == (told["repairs"]["replays"][0]["batch_ids"], told["is_well"])


def test_every_kind_that_is_wrong_says_what_it_is_and_what_to_do() -> None:
    found = Collector()
    for kind in Kind:
        found.add(kind)
    for one in found.findings("press-a"):
        assert one.what, one.kind
        assert one.next_step or not one.is_wrong, one.kind
        assert "{" not in one.next_step
