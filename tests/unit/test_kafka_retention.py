"""How long a topic keeps its records, in Kafka's words."""

from __future__ import annotations

import pytest

from frameferry.kafka.topics import kept

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("said_ms", "seconds"),
    [
        ("-1", None),
        ("0", 0),
        (str(7 * DAY_MS), 7 * 86_400),
        (str(30 * 365 * DAY_MS), 30 * 365 * 86_400),
        (str(200 * 365 * DAY_MS), None),
        (str(2**63 - 1), None),
    ],
)
def test_ages_that_no_record_reaches_mean_for_ever(said_ms: str, seconds: float | None) -> None:
    settings = {"cleanup.policy": "delete", "retention.ms": said_ms, "retention.bytes": "-1"}
    assert seconds == kept(settings).seconds
