from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest
from fixtures.page import alarm_of, batch_of, status_of

from frameferry.domain.offsets import OffsetRange
from frameferry.domain.status import Backlog, BatchState, PartitionStatus, to_json

AT = datetime(2026, 11, 23, 12, 0, 3, 250_000, tzinfo=UTC)


def test_what_stands_in_the_json_is_what_json_has() -> None:
    told = to_json(status_of("press-a"))
    assert told == json.loads(json.dumps(told))
    assert {type(value) for value in told.values()} <= {
        int,
        float,
        str,
        bool,
        list,
        dict,
        type(None),
    }


def test_times_ranges_states_and_rates_are_written_for_programs() -> None:
    held = PartitionStatus(0, 1, 9, 8, 7, 2, 3, AT)
    batch = batch_of(ranges=(OffsetRange(0, 7, 8),), state=BatchState.WAITING, retry_at=AT)
    whole = status_of("press-a", partitions=(held,), open_batches=(batch,))
    told = to_json(replace(whole, backlog=Backlog(AT, 1 / 3, None, 0.12345, None)))
    assert told["partitions"][0]["held_back_since"] == "2026-11-23T12:00:03.250000+00:00"
    (row,) = told["open_batches"]
    assert row["ranges"] == ["0:[7, 8)"]
    assert type(row["state"]) is str
    assert row["state"] == "waiting for a gap or an earlier batch"
    assert datetime.fromisoformat(row["retry_at"]) == AT
    assert (told["oldest_minutes"], told["arrivals_per_second"]) == (0.333, 0.123)
    assert (told["retention_hours_left"], told["service_per_second"]) == (None, None)


def test_a_status_is_healthy_where_there_is_nothing_to_be_done() -> None:
    assert status_of("press-a").healthy
    assert not status_of("press-a", alarms=(alarm_of("Blocked: …"),)).healthy
    assert to_json(status_of("press-a", alarms=(alarm_of("Blocked: …"),)))["healthy"] is False


def test_nobody_changes_what_was_said() -> None:
    with pytest.raises(FrozenInstanceError):
        status_of("press-a").pipeline = "press-b"  # type: ignore[misc]
