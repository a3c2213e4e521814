"""What a person fills in for an audit: each mistake is one clear line."""

from __future__ import annotations

from typing import Any

import pytest

from frameferry.errors import ConfigError
from frameferry.operations.audit.wishing import wished

NOTHING: dict[str, Any] = {
    "since": None,
    "until": None,
    "sample": 10,
    "with_kafka": True,
    "recount": False,
    "repair": False,
    "reinfer_quarantined": False,
    "dry_run": False,
}
SIX = "2026-05-01T06:00:00Z"
SIX_MS = 1_777_615_200_000


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"since": "2026-05-01T06:00:00"}, "a moment without a zone"),
        ({"until": "yesterday"}, "'yesterday' is not a moment"),
        ({"since": SIX, "until": SIX}, "no window: it begins at 2026-05-01T06"),
        ({"since": "1969-12-31T00:00:00Z"}, "no window: it begins at 1969"),
        ({"until": "1969-12-31T00:00:00Z"}, "and ends at 1969"),
        ({"sample": -1}, "a sample is of 0 to 10,000 files"),
        ({"sample": 10_001}, "a sample is of 0 to 10,000 files"),
        ({"dry_run": True}, "--dry-run is of --repair"),
        ({"reinfer_quarantined": True}, "--reinfer-quarantined is of --repair"),
        ({"repair": True, "with_kafka": False}, "--repair reads Kafka"),
        ({"recount": True, "with_kafka": False}, "--recount reads Kafka"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        wished(**{**NOTHING, **given})


def test_bounds_are_milliseconds_and_none_is_no_bound() -> None:
    assert (None, None, False) == bounds()
    assert (SIX_MS, None, True) == bounds(since=SIX)
    assert (None, SIX_MS, True) == bounds(until="2026-05-01T08:00:00+02:00")
    assert (SIX_MS, SIX_MS + 1, True) == bounds(since=SIX, until="2026-05-01T06:00:00.001Z")


def bounds(**given: Any) -> tuple[int | None, int | None, bool]:
    wish = wished(**{**NOTHING, **given})
    return wish.since_ms, wish.until_ms, wish.is_bounded
