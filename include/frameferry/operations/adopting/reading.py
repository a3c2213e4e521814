"""Read what another system wrote down: offsets of topics as JSON, in files of bounded size."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from frameferry.errors import ConfigError

MOST_BYTES: Final = 16 * 1024**2
"""A file of offsets is far smaller: 100,000 partitions take 2 MB."""
_MOST_OFFSET: Final = 2**63 - 1
_LOOK: Final = "See that it is the file that is meant, and that it was copied whole"
Topics = dict[str, dict[int, int]]


def read_bytes(path: Path, source: str) -> bytes:
    """
    Read a file.

    Raises:
        ConfigError: It cannot be read, or is too large to be one of offsets.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        msg = f"{source} cannot be read: {path}: {error.strerror}"
        raise ConfigError(msg, remedy="Mend the path, or the right to read it") from None
    if len(data) > MOST_BYTES:
        msg = f"{source} is too large to be offsets: {path}: over {MOST_BYTES // 1024**2} MiB"
        raise ConfigError(msg, remedy=_LOOK)
    return data


def read_json(data: bytes, source: str) -> Any:  # noqa: ANN401 - JSON values are of any type
    """
    Read JSON in which no key is given twice.

    Raises:
        ConfigError: It is damaged, or no JSON.
    """
    try:
        return json.loads(data.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        msg = f"{source} is damaged, or no JSON: {error}"
        raise ConfigError(msg, remedy=_LOOK) from None


def topics_of(value: object, source: str) -> Topics:
    """
    Take `{"TOPIC": {"0": 123}}` as offsets by topic and partition.

    Raises:
        ConfigError: It is nothing like that; or an offset is negative, as Spark's words for
            earliest and latest are.
    """
    if not isinstance(value, Mapping) or not value:
        raise _no_offsets(source)
    return {topic: _partitions(found, f"{source}, topic {topic}") for topic, found in value.items()}


def _partitions(value: object, source: str) -> dict[int, int]:
    if not isinstance(value, Mapping):
        raise _no_offsets(source)
    return {
        _number(partition, source): offset_of(offset, source) for partition, offset in value.items()
    }


def _number(partition: object, source: str) -> int:
    if isinstance(partition, str) and partition.isascii() and partition.isdecimal():
        return int(partition)
    raise _no_offsets(source)


def offset_of(value: object, source: str) -> int:
    """
    Take a JSON value as an offset.

    Raises:
        ConfigError: It is none.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise _no_offsets(source)
    if not 0 <= value <= _MOST_OFFSET:
        msg = f"{source} holds the offset {value}, which is none that a system stops at"
        raise ConfigError(msg, remedy="Give the next offset to read, from 0 on")
    return value


def of_topic(found: Topics, topic: str, source: str) -> tuple[dict[int, int], tuple[str, ...]]:
    """
    Pick out one topic's offsets; return the names of the others, too.

    Raises:
        ConfigError: What was read is of other topics.
    """
    others = tuple(sorted(set(found) - {topic}))
    if not found.get(topic):
        msg = f"{source} is of topic {', '.join(others)}; the pipeline reads {topic}"
        raise ConfigError(msg, remedy="Name what read this pipeline's topic, or mend kafka.topic")
    return found[topic], others


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        msg = "a key is given twice"
        raise ValueError(msg)
    return found


def _no_offsets(source: str) -> ConfigError:
    msg = f'{source} holds no offsets in the form {{"TOPIC": {{"0": 123}}}}'
    return ConfigError(msg, remedy=_LOOK)
