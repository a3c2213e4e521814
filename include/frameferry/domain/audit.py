"""An audit: what is compared, what was found, and the report that people and programs read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from frameferry.domain.offsets import OffsetRange

SCHEMA_VERSION: Final = 1
"""Raised if a key of the report goes, or means something else."""


class Span(NamedTuple):
    """One partition of one generation: where planning began, and the next offset to commit."""

    generation: int
    partition: int
    start: int
    committed: int


class AuditedRow(NamedTuple):
    """
    A row that stands, as an audit needs it.

    `path` is the full remote path; a duplicate's is that of the record that it leans on. `is_fresh`
    says that it was delivered after the audit began, so that no list need show its file.
    """

    generation: int
    partition: int
    offset: int
    timestamp_ms: int
    destination: str
    path: str
    size_bytes: int
    sha256: str
    outcome: str | None
    part_path: str | None
    is_fresh: bool

    @property
    def place(self) -> str:
        """Name the record as people do; a generation that is not the first is told."""
        return place(self.generation, self.partition, self.offset)


class CountedRange(NamedTuple):
    """
    A range with the census that deliver took of it.

    From `seen_from` on there were so many `records`, with offsets of this `digest`.
    """

    batch_id: int
    partition: int
    start: int
    end: int
    seen_from: int
    records: int
    digest: str
    is_pruned: bool

    @property
    def offsets(self) -> OffsetRange:
        """The whole range."""
        return OffsetRange(self.partition, self.start, self.end)


class Known(NamedTuple):
    """Paths that are some record's: `held` by a row, `pruned` by a name that was kept."""

    held: frozenset[str]
    pruned: frozenset[str]


class Kind(StrEnum):
    """What a finding is of; those that say that something is wrong come first."""

    missing = "missing"
    wrong_size = "wrong_size"
    wrong_hash = "wrong_hash"
    unread = "unread"
    extra = "extra"
    unanswered = "unanswered"
    miscounted = "miscounted"
    not_judged = "not_judged"
    unasked = "unasked"
    not_compared = "not_compared"
    left_out = "left_out"
    orphan = "orphan"
    part = "part"
    stranger = "stranger"
    taken = "taken"
    quarantined = "quarantined"
    gap = "gap"
    rowless = "rowless"
    elsewhere = "elsewhere"
    pruned = "pruned"
    recounted = "recounted"

    @property
    def is_wrong(self) -> bool:
        """Say whether the audit ends badly by it; the others are as they should be."""
        return list(Kind).index(self) <= list(Kind).index(Kind.not_compared)


@dataclass(frozen=True, slots=True)
class Example:
    """
    One of what was found: a file's path, a record's place, and what more there is to say.

    Each is None, or empty, if it does not apply.
    """

    path: str | None = None
    place: str | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """A group of like things: how many, what it means, what to do next, and the first few."""

    kind: Kind
    is_wrong: bool
    count: int
    what: str
    next_step: str
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Repair:
    """
    A replay that repairs: its mode, what it selects, and its batches; none yet in a dry run.

    `sentence` says it to a person.
    """

    mode: str
    selection: str
    records: int
    batch_ids: tuple[int, ...]
    sentence: str


@dataclass(frozen=True, slots=True)
class Repairs:
    """
    What was planned to repair.

    `gone` are records that Kafka no longer holds; `left` are more than one audit repairs.
    """

    dry_run: bool
    replays: tuple[Repair, ...]
    gone: int
    left: int

    @property
    def batch_ids(self) -> tuple[int, ...]:
        """The batches of all replays, in order."""
        return tuple(one for replay in self.replays for one in replay.batch_ids)


@dataclass(frozen=True, slots=True)
class Report:
    """
    An audit of one pipeline.

    `since` and `until` bound the records by their own timestamps, None for no bound. `records` rows
    of the ledger were compared with `files` on the server, and `sampled` files were read back.
    """

    pipeline: str
    began_at: datetime
    seconds: float
    since: datetime | None
    until: datetime | None
    with_kafka: bool
    records: int
    files: int
    sampled: int
    findings: tuple[Finding, ...]
    repairs: Repairs | None = None

    @property
    def is_well(self) -> bool:
        """Say whether nothing is wrong."""
        return not any(one.is_wrong for one in self.findings)

    @property
    def sentence(self) -> str:
        """Say it to a person."""
        wrong = sum(one.is_wrong for one in self.findings)
        return (
            f"{self.records:,} records and {self.files:,} files compared, {self.sampled:,} read "
            f"back, in {self.seconds:,.0f} s: "
            + ("all is well" if self.is_well else f"{wrong} of the findings are wrong")
        )


def place(generation: int, partition: int, offset: int) -> str:
    """Name a record's place: `partition:offset`, and the generation unless it is the first."""
    return f"{partition}:{offset}{'' if generation == 1 else f' (generation {generation})'}"


def to_json(report: Report) -> dict[str, Any]:
    """Write a report for programs; docs/audit.md says its keys."""
    return {"schema_version": SCHEMA_VERSION, "is_well": report.is_well, **_plain(asdict(report))}


def _plain(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _told(inner) for name, inner in value.items()}


def _told(value: Any) -> Any:  # noqa: ANN401 - JSON values are of any type
    match value:
        case datetime():
            return value.isoformat()
        case float():
            return round(value, 3)
        case dict():
            return _plain(value)
        case list() | tuple():
            return [_told(one) for one in value]
        case _:
            return value
