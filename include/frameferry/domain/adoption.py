"""Where another system stopped, and what a pipeline takes over from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from frameferry.domain.offsets import OffsetRange


@dataclass(frozen=True, slots=True)
class Origin:
    """
    Where another system stopped in one topic.

    `offsets` is the next offset of each partition that it knows, and `planned_to` the end
    (exclusive) of what it had planned beyond and not committed, where there is such a batch.
    `source` says in words what was read. `is_of_this_topic` holds if these offsets cannot be of an
    earlier topic of the same name. `planned_at` is when it planned last, by its own clock; None if
    it does not say. `others` are topics that it read as well.
    """

    source: str
    offsets: Mapping[int, int]
    planned_to: Mapping[int, int] = field(default_factory=dict)
    planned_at: datetime | None = None
    is_of_this_topic: bool = False
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Carried:
    """A batch to freeze as a part of what another system had planned, and why it is as it is."""

    ranges: tuple[OffsetRange, ...]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """
    Where a pipeline is to begin, in which topic of which cluster, by Kafka's own ids.

    `starts` is the first offset to plan, per partition. `lost` is what Kafka no longer holds, each
    from its partition's start on, and `reason` why that is all right, in a person's words.
    `carried` are batches to freeze, in this order; the first of a partition begins at its start, or
    where what is lost ends. `config_digest` is of the pipeline's file.
    """

    cluster_id: str
    topic: str
    topic_id: str
    starts: Mapping[int, int]
    lost: tuple[OffsetRange, ...]
    reason: str
    carried: tuple[Carried, ...]
    config_digest: str


@dataclass(frozen=True, slots=True)
class Adopted:
    """When a pipeline was adopted, by whom, and from where."""

    at: datetime
    who: str
    detail: str
