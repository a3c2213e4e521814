"""Where a pipeline begins: an offset per partition, used once, when the ledger has none."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from frameferry.config.settings import KafkaSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ConfigError, NotAdopted
from frameferry.kafka.cluster import Cluster, TopicView


def start_offsets(settings: KafkaSettings, cluster: Cluster, view: TopicView) -> dict[int, int]:
    """
    Resolve `kafka.start` for every partition of *view*.

    `earliest` is the low watermark. A mapping is taken as it is. A time is the first record whose
    own timestamp is that time or later, or the end of the log if there is none. Records after it
    with an earlier time are not left out: timestamps need not rise.

    Raises:
        NotAdopted: A person says first where another system stopped.
        ConfigError: A mapping leaves out a partition, names another, or lies outside the log.
        KafkaUnavailable: No broker answered in time (only asked for a time).
    """
    match settings.start:
        case "earliest":
            return {partition: marks.low for partition, marks in view.watermarks.items()}
        case "adopt":
            msg = "the pipeline waits to be adopted (kafka.start: adopt)"
            raise NotAdopted(msg)
        case datetime() as moment:
            found = cluster.offsets_at(settings.topic, tuple(view.watermarks), moment)
            ends = {partition: marks.end for partition, marks in view.watermarks.items()}
            return {
                partition: cluster.first_since(
                    settings.topic, OffsetRange(partition, offset, ends[partition]), moment
                )
                if offset < ends[partition]
                else offset
                for partition, offset in found.items()
            }
        case given:
            return _checked(given, view)


def _checked(given: Mapping[int, int], view: TopicView) -> dict[int, int]:
    """Refuse a start that would skip or invent offsets; the range is `[low, end]`."""
    problems = [
        f"partition {partition} is not one of this pipeline's"
        for partition in sorted(set(given) - set(view.watermarks))
    ]
    for partition, marks in sorted(view.watermarks.items()):
        offset = given.get(partition)
        if offset is None:
            problems.append(f"partition {partition} has no offset")
        elif not marks.low <= offset <= marks.end:
            problems.append(
                f"partition {partition}: offset {offset} is outside {marks.low} to {marks.end}"
            )
    if problems:
        msg = f"kafka.start: {'; '.join(problems)}"
        raise ConfigError(msg, remedy="Give each partition an offset that Kafka holds")
    return dict(given)
