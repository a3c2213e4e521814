"""What a sidecar holds: JSON, whatever was said, and the same bytes each time."""

from __future__ import annotations

import json
from typing import Any

import pytest

from frameferry.domain.records import Prediction, StoredPrediction
from frameferry.domain.sidecar import sidecar_json


def stored(**changes: Any) -> StoredPrediction:
    fields: dict[str, Any] = {
        "partition": 3,
        "offset": 7,
        "timestamp_ms": 1_795_436_100_042,
        "source_name": "도장 1.jpg",
        "size_bytes": 12,
        "sha256": "ab" * 32,
        "label": "scratch",
        "score": 0.75,
        "outputs": '{"good": 0.25, "scratch": 0.75}',
    }
    return StoredPrediction(Prediction(**{**fields, **changes}), "/press-a/x/도장 1_3-7.jpg", "d1")


def content(**changes: Any) -> dict[str, Any]:
    return json.loads(sidecar_json("press-a", "press-a.images", stored(**changes)))


def test_a_sidecar_says_what_was_said_and_of_what() -> None:
    assert {
        "image": "도장 1_3-7.jpg",
        "pipeline": "press-a",
        "topic": "press-a.images",
        "partition": 3,
        "offset": 7,
        "timestamp": "2026-11-23T12:15:00.042Z",
        "source_name": "도장 1.jpg",
        "size_bytes": 12,
        "sha256": "ab" * 32,
        "label": "scratch",
        "score": 0.75,
        "outputs": {"good": 0.25, "scratch": 0.75},
        "judge_digest": "d1",
    } == content()


@pytest.mark.parametrize("moment", [-1, -(2**63), 2**63 - 1, 10**17])
def test_a_time_that_is_none_is_null(moment: int) -> None:
    assert content(timestamp_ms=moment)["timestamp"] is None


@pytest.mark.parametrize("outputs", ["", "no JSON", '{"a": NaN}', "[" * 100_000])
def test_an_answer_that_is_no_json_stands_as_text(outputs: str) -> None:
    assert outputs == content(outputs=outputs)["outputs"]


def test_any_text_makes_a_whole_file() -> None:
    assert "\\ud800" in sidecar_json("p", "t", stored(source_name="a\ud800")).decode()
    assert content(source_name='a\n"b\0')["source_name"] == 'a\n"b\0'
