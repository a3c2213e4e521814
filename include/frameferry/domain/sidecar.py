"""The JSON file beside a picture: what was said of it, and where it came from."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from posixpath import basename
from typing import Any

from frameferry.domain.columns import said_of
from frameferry.domain.records import StoredPrediction


def sidecar_json(pipeline: str, topic: str, stored: StoredPrediction) -> bytes:
    """
    Write a picture's sidecar: UTF-8, one object, keys in a fixed order.

    A pure function of what the ledger holds, so that a second delivery, and an attempt that
    settles a dead one's renames, have the same bytes to compare with.
    """
    said = stored.prediction
    content = {
        "image": basename(stored.remote_path),
        "pipeline": pipeline,
        "topic": topic,
        "partition": said.partition,
        "offset": said.offset,
        "timestamp": _moment(said.timestamp_ms),
        "source_name": said.source_name,
        "size_bytes": said.size_bytes,
        "sha256": said.sha256,
        **{name: value for name, value in said_of(said).items() if _is_told(name, value)},
        "outputs": _outputs(said.outputs),
        "judge_digest": stored.judge_digest,
    }
    text = json.dumps(content, ensure_ascii=False, indent=1)
    return f"{text}\n".encode(errors="backslashreplace")


def _is_told(name: str, value: object) -> bool:
    """Say whether the sidecar has a field: what was not measured is not in it."""
    return value is not None or name not in {"value", "unit"}


def _moment(timestamp_ms: int) -> str | None:
    """Write Kafka's timestamp in ISO 8601, None if no calendar knows it."""
    if timestamp_ms < 0:
        return None
    with suppress(ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(timestamp_ms // 1000, tz=UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{timestamp_ms % 1000:03d}Z"
    return None


def _outputs(text: str | None) -> Any:  # noqa: ANN401 - a JSON value
    """Take the model's answer as JSON; what is not JSON stays the text that it is."""
    if text is None:
        return None
    with suppress(ValueError, RecursionError):
        value = json.loads(text)
        json.dumps(value, allow_nan=False)
        return value
    return text
