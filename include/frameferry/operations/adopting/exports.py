"""Read where another system stopped, from a file that was exported of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from frameferry.domain.adoption import Origin
from frameferry.errors import ConfigError
from frameferry.operations.adopting.reading import (
    Topics,
    of_topic,
    offset_of,
    read_bytes,
    read_json,
    topics_of,
)


def read_offsets(path: Path, topic: str) -> Origin:
    """
    Read `{"TOPIC": {"0": 123}}`, as Spark's `startingOffsets` has it.

    Raises:
        ConfigError: It holds anything else, or not this topic.
    """
    source = f"file {path}"
    found = topics_of(read_json(read_bytes(path, source), source), source)
    offsets, others = of_topic(found, topic, source)
    return Origin(source, offsets, others=others)


def read_connect_offsets(path: Path, topic: str) -> Origin:
    """
    Read what Kafka Connect answers to `GET /connectors/NAME/offsets` for a sink.

    Raises:
        ConfigError: It is something else, as a source connector's answer; or not of this topic.
    """
    source = f"Kafka Connect's answer {path}"
    answer = read_json(read_bytes(path, source), source)
    rows = answer.get("offsets") if isinstance(answer, Mapping) else None
    if not isinstance(rows, list):
        raise _no_answer(source)
    found: Topics = {}
    for name, partition, offset in _positions(rows, source):
        if partition in found.setdefault(name, {}):
            msg = f"{source} names partition {partition} of topic {name} twice"
            raise ConfigError(msg, remedy="Ask once more, and keep the answer as it is")
        found[name][partition] = offset
    if not found:
        msg = f"{source} is empty: the connector has committed nothing, or there is none"
        raise ConfigError(msg, remedy="There is nothing to adopt: set kafka.start instead")
    offsets, others = of_topic(found, topic, source)
    return Origin(source, offsets, others=others)


def _positions(rows: list[object], source: str) -> Iterable[tuple[str, int, int]]:
    for row in rows:
        match row:
            case {
                "partition": {"kafka_topic": str(name), "kafka_partition": int(partition)},
                "offset": {"kafka_offset": offset},
            } if partition >= 0:
                yield name, int(partition), offset_of(offset, source)
            case _:
                raise _no_answer(source)


def _no_answer(source: str) -> ConfigError:
    msg = f"{source} is not that of a sink connector to GET /connectors/NAME/offsets"
    return ConfigError(msg, remedy="Ask Kafka Connect's REST API once more, and keep its answer")
