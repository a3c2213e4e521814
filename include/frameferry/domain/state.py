"""What the ledger knows of a pipeline, as the planner and the people read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from frameferry.domain.batch import BatchCost, BatchKind
from frameferry.domain.columns import Said
from frameferry.domain.offsets import OffsetRange, Progress


@dataclass(frozen=True, slots=True)
class Block:
    """
    Why nothing runs.

    `digest` identifies what blocks, a connection as it is now; None if a person must act.
    """

    reason: str
    digest: str | None
    since: datetime


@dataclass(frozen=True, slots=True)
class OpenBatch:
    """
    A leaf that is not committed yet.

    `held_by_gap` says that it is finished and waits only for a gap to be accepted, or for an
    earlier batch. `retry_at` and `leased_until` are None if nothing holds it back. `is_piece` says
    that a split made it, `is_stopped` that a person stopped the replay that it is of.
    """

    id: int
    root_id: int
    kind: BatchKind
    ranges: tuple[OffsetRange, ...]
    inferred: bool
    finished: bool
    held_by_gap: bool
    retry_at: datetime | None
    leased_until: datetime | None
    last_error: str | None
    sentence: str
    is_piece: bool = False
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class PipelineState:
    """
    One pipeline in the ledger, read in one transaction. `now` is the database's clock.

    `costs` are of the last delivered batches, newest first; empty without history.

    `is_restored` holds from a restore of the ledger until the pipeline was recovered;
    `recovered_to` is, per partition, the offset up to which the recovery asked the world.
    """

    name: str
    generation: int
    cluster_id: str
    topic_id: str
    blocked: Block | None
    progress: Mapping[int, Progress]
    open_batches: tuple[OpenBatch, ...]
    costs: tuple[BatchCost, ...]
    now: datetime
    is_restored: bool = False
    recovered_to: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Counts:
    """
    Standing rows of one pipeline: `delivered` has receipts, `gaps` are unaccepted offsets.

    `resolved` are those of the `quarantined` that a person is done with. `reasons` counts the
    others, of which `kept` have a kept copy.
    """

    records: int
    delivered: int
    duplicates: int
    quarantined: int
    resolved: int
    kept: int
    gaps: int
    batches: int
    labels: Mapping[str, int]
    reasons: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordRow(Said):
    """One line of `frameferry records`."""

    partition: int
    offset: int
    timestamp: datetime | None
    name: str | None
    size_bytes: int
    sha256: str
    model_digest: str | None
    remote_path: str
    batch: int
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One line of `frameferry quarantine`; the resolution is None while it is open."""

    partition: int
    offset: int
    stage: str
    reason: str
    detail: str
    batch: int
    found_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    resolved_how: str | None


@dataclass(frozen=True, slots=True)
class GapRow:
    """One line of `frameferry gaps`: offsets `[start, end)` that Kafka no longer holds."""

    id: int
    partition: int
    start: int
    end: int
    cause: str
    found_at: datetime
    accepted_by: str | None


@dataclass(frozen=True, slots=True)
class BatchRow:
    """One line of the list of batches. `record_count` and `byte_count` are None until judged."""

    id: int
    kind: BatchKind
    ranges: tuple[OffsetRange, ...]
    sentence: str
    attempt: int
    planned_at: datetime
    inferred_at: datetime | None
    delivered_at: datetime | None
    committed_at: datetime | None
    record_count: int | None
    byte_count: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Ended:
    """Pictures that ended within a time: those with a file by label, and quarantined ones."""

    labels: Mapping[str, int]
    unjudged: int
    quarantined: int

    @property
    def judged(self) -> int:
        """Those that have a file and a label."""
        return sum(self.labels.values())

    @property
    def pictures(self) -> int:
        """All of them."""
        return self.judged + self.unjudged + self.quarantined


@dataclass(frozen=True, slots=True)
class Overview:
    """
    What the ledger says of a pipeline at one moment, as `status` shows it.

    `state` and `last_batch` are None before the first plan. `last_hour`, `recent` and `before` are
    what ended in the last hour, in the time whose labels are looked at, and in the week before
    that. `carried` are the offsets by partition that live batches committed since each of the
    earlier looks, the earliest first; empty if nothing was planned by then. `delivered_at` is when
    the newest delivered batch was. `owners` are the pipelines that own
    partitions of the topic that `state` names. `remark` is a batch, and what was remarked on most
    of its pictures. `asked_alone` are the digests of connections whose data addresses must be asked
    for alone.
    """

    state: PipelineState | None
    counts: Counts
    open_gaps: tuple[GapRow, ...]
    last_batch: BatchRow | None
    remark: tuple[int, str] | None
    owners: Mapping[int, str]
    asked_alone: frozenset[str]
    last_hour: Ended
    recent: Ended
    before: Ended
    carried: tuple[Mapping[int, int], ...]
    delivered_at: datetime | None


@dataclass(frozen=True, slots=True)
class PartFates:
    """
    What the ledger knows of parts, in one snapshot.

    `ended_through` is the last attempt of each batch that is over for good: overtaken, or its batch
    delivered. `open_parts` are the pictures' parts that open intents name; `final_names` those of
    the paths asked for that are not parts, but some record's final name.
    """

    ended_through: Mapping[int, int]
    open_parts: frozenset[str]
    final_names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Readiness:
    """
    Whether there is work now, why or why not, and when to ask again.

    `retry_in_seconds` is None if only the outside world (new records, a person) can change the
    answer; 0 if there is work now.
    """

    now: bool
    reason: str
    retry_in_seconds: float | None
