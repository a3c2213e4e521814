"""docs/status.md has the keys and types of the JSON, as the dataclasses say them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

from fixtures.page import alarm_of, status_of

from frameferry.domain.alarms import Severity
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.status import SCHEMA_VERSION, Status, Unasked, to_json

PAGE = (Path(__file__).parents[2] / "docs/status.md").read_text(encoding="utf-8")
WORDS = {
    int: "integer",
    float: "number",
    str: "text",
    bool: "true or false",
    datetime: "time",
    OffsetRange: "text",
}
BESIDE = {
    "schema_version": int,
    "healthy": bool,
    "error": str | None,
    "advice": tuple[str, ...],
    "alarms[].severity": Severity,
}
"""What the JSON has beside the fields of a status."""
OF_VERSION_1 = {
    *("schema_version", "pipeline", "healthy", "error", "advice", "partitions"),
    *("unowned_partitions", "oldest_at", "oldest_minutes", "retention_hours_left"),
    *("arrivals_per_second", "service_per_second", "open_batches", "last_batch", "records"),
    *("delivered", "duplicates", "quarantined", "gaps", "batches", "labels", "reasons"),
    *(f"partitions[].{key}" for key in ("partition", "low", "end", "planned", "committed")),
    *(f"partitions[].{key}" for key in ("lag", "held_back", "held_back_since")),
    *(f"open_batches[].{key}" for key in ("batch", "kind", "ranges", "state", "sentence")),
    *("open_batches[].last_error", "open_batches[].retry_at"),
    *("last_batch.batch", "last_batch.planned_at", "last_batch.sentence"),
}
"""Written down once: what people have in their scripts."""


def documented() -> dict[str, str]:
    rows = re.findall(r"^\| `([^`]+)` \| (.+?) \| .*\|$", PAGE, re.MULTILINE)
    return {key: kind.replace("`", "") for key, kind in rows}


def typed(kind: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Say each key below a type, and what it holds; the fields of flat ones have no key above."""
    for one in fields(kind):
        annotation = get_type_hints(kind)[one.name]
        inner = next(
            (each for each in (annotation, *get_args(annotation)) if is_dataclass(each)), None
        )
        if inner is None or inner is OffsetRange:
            yield f"{key}{one.name}", word_of(annotation)
        elif one.name in {"backlog", "counts"}:
            yield from typed(inner)
        else:
            is_list = get_origin(annotation) is tuple
            yield f"{key}{one.name}", word_of(annotation)
            yield from typed(inner, f"{key}{one.name}{'[]' if is_list else ''}.")


def word_of(kind: Any) -> str:
    arguments = get_args(kind)
    if get_origin(kind) is Literal:
        return " or ".join(arguments)
    if isinstance(kind, UnionType):
        rest = [word_of(one) for one in arguments if one is not NoneType]
        return " or ".join([*rest, "null"])
    if get_origin(kind) is tuple:
        word = word_of(arguments[0])
        return "list of " + ("objects" if word == "object" else word)
    if get_origin(kind) is Mapping:
        return " to ".join(["mapping of text", word_of(arguments[1])])
    if issubclass(kind, StrEnum):
        return " or ".join(kind)
    return WORDS.get(kind) or "object"


def keys_of(value: Any, key: str = "") -> Iterator[str]:
    """List the keys that a JSON really has; what is mapped by names of the plant has none."""
    for name, inner in value.items():
        yield f"{key}{name}"
        match inner:
            case [dict(), *_]:
                yield from keys_of(inner[0], f"{key}{name}[].")
            case dict() if name not in {"labels", "reasons"}:
                yield from keys_of(inner, f"{key}{name}.")


def test_the_table_says_the_types_of_the_dataclasses() -> None:
    beside = {name: word_of(kind) for name, kind in BESIDE.items()}
    assert documented() == {**dict(typed(Status)), **beside}


def test_the_table_has_the_keys_of_the_json_in_their_order() -> None:
    assert list(documented()) == list(
        keys_of(to_json(status_of("press-a", alarms=(alarm_of("Blocked: …"),))))
    )


def test_no_key_of_this_version_goes() -> None:
    assert SCHEMA_VERSION == 1, "write down what the new version has"
    assert set(documented()) >= OF_VERSION_1


def test_one_that_could_not_be_asked_has_the_same_keys_and_nothing_in_them() -> None:
    told = to_json(Unasked("press-a", "the ledger stays locked"))
    assert list(told) == list(to_json(status_of("press-a")))
    known = {key: value for key, value in told.items() if value is not None}
    assert known == {
        "schema_version": SCHEMA_VERSION,
        "pipeline": "press-a",
        "healthy": False,
        "error": "the ledger stays locked",
        "advice": ["the ledger stays locked"],
        "alarms": [
            {
                "kind": "unasked",
                "sentence": "the ledger stays locked",
                "about": "",
                "partition": None,
                "offset": None,
                "batch": None,
                "severity": "critical",
            }
        ],
    }
