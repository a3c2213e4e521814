"""What is said of a pipeline when somebody asks, typed; and the same for programs, as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Final

from frameferry.domain.alarms import Alarm, AlarmKind
from frameferry.domain.batch import BatchKind
from frameferry.domain.offsets import OffsetRange
from frameferry.domain.state import Counts

SCHEMA_VERSION: Final = 1
"""The JSON's version: raised if a key goes or changes its meaning, but not for a new key."""
_DECIMALS: Final = 3


class BatchState(StrEnum):
    """
    How far an open batch is.

    `WAITING` is delivered, behind a gap or an earlier batch; `STOPPED` is of a stopped replay.
    """

    PLANNED = "planned"
    JUDGED = "judged"
    DELIVERED = "delivered"
    WAITING = "waiting for a gap or an earlier batch"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class PartitionStatus:
    """
    How far one partition is, in offsets.

    `low`, `end`, `lag` and `held_back` are None if Kafka did not say; `planned` and `committed` if
    the ledger does not know the partition yet. `held_back_since` is None if no transaction is open,
    or nobody can tell since when.
    """

    partition: int
    low: int | None
    end: int | None
    planned: int | None
    committed: int | None
    lag: int | None
    held_back: int | None
    held_back_since: datetime | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """
    The state of what waits, over all partitions; None if it is not known, or nothing waits.

    Rates are in pictures a second. `retention_hours_left` is below 0 if Kafka may have deleted the
    oldest picture by now.
    """

    oldest_at: datetime | None = None
    oldest_minutes: float | None = None
    retention_hours_left: float | None = None
    arrivals_per_second: float | None = None
    service_per_second: float | None = None


@dataclass(frozen=True, slots=True)
class OpenBatchStatus:
    """A batch that is not committed; `retry_at` is None if nothing holds it back."""

    batch: int
    kind: BatchKind
    ranges: tuple[OffsetRange, ...]
    state: BatchState
    sentence: str
    last_error: str | None
    retry_at: datetime | None


@dataclass(frozen=True, slots=True)
class LastBatch:
    """The newest batch, committed or not, and why it has its size."""

    batch: int
    planned_at: datetime
    sentence: str


@dataclass(frozen=True, slots=True)
class LabelShare:
    """A label's share of the judged pictures, 0 to 1: of the last hours, and of the week before."""

    label: str
    recent: float
    before: float


@dataclass(frozen=True, slots=True)
class Status:
    """
    A pipeline that could be asked.

    `unowned_partitions` is None if Kafka did not say which partitions there are, or nothing was
    planned yet. `last_batch` is None before the first plan, `last_delivered_at` before the first
    batch was delivered. `pictures_last_hour` ended in the last hour, `quarantined_last_hour` of
    them in quarantine.
    """

    pipeline: str
    alarms: tuple[Alarm, ...]
    partitions: tuple[PartitionStatus, ...]
    unowned_partitions: tuple[int, ...] | None
    backlog: Backlog
    open_batches: tuple[OpenBatchStatus, ...]
    last_batch: LastBatch | None
    last_delivered_at: datetime | None
    pictures_last_hour: int
    quarantined_last_hour: int
    label_shares: tuple[LabelShare, ...]
    counts: Counts
    error: ClassVar[None] = None

    @property
    def healthy(self) -> bool:
        """Say whether there is nothing to be done."""
        return not self.alarms

    @property
    def advice(self) -> tuple[str, ...]:
        """One line per alarm, with what to do."""
        return tuple(alarm.sentence for alarm in self.alarms)


@dataclass(frozen=True, slots=True)
class Unasked:
    """A pipeline that could not be asked, and why: nothing else is known of it."""

    pipeline: str
    error: str
    healthy: ClassVar[bool] = False

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """That it could not be asked is an alarm."""
        return (Alarm(AlarmKind.UNASKED, self.error),)

    @property
    def advice(self) -> tuple[str, ...]:
        """The error, which is what has to be put right."""
        return (self.error,)


Answer = Status | Unasked

_HEAD: Final = frozenset({"pipeline", "alarms"})
"""Fields that an `Unasked` has, too."""
_FLAT: Final[Mapping[str, type]] = {"backlog": Backlog, "counts": Counts}
"""Fields of a status whose own fields stand beside the others in the JSON."""


def to_json(answer: Answer) -> dict[str, Any]:
    """
    Write an answer in JSON's own types, with the keys of docs/status.md.

    Times are ISO 8601 with their offset, ranges `partition:[start, end)`. A pipeline that could not
    be asked has the same keys, with null for what is not known.
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "pipeline": answer.pipeline,
        "healthy": answer.healthy,
        "error": answer.error,
        "advice": list(answer.advice),
        "alarms": [alarm_to_json(alarm) for alarm in answer.alarms],
        **(_told(answer) if isinstance(answer, Status) else dict.fromkeys(_keys())),
    }


def alarm_to_json(alarm: Alarm) -> dict[str, Any]:
    """Write one alarm in JSON's own types, with the keys of docs/status.md."""
    told: dict[str, Any] = _plain(alarm)
    return {**told, "severity": str(alarm.severity)}


def _told(status: Status) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for one in _below_the_head():
        value = _plain(getattr(status, one))
        told.update(value if one in _FLAT else {one: value})
    return told


def _keys() -> list[str]:
    """List the keys of `_told`."""
    return [
        key
        for one in _below_the_head()
        for key in ([inner.name for inner in fields(_FLAT[one])] if one in _FLAT else [one])
    ]


def _below_the_head() -> list[str]:
    return [one.name for one in fields(Status) if one.name not in _HEAD]


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON values are of any type
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if is_dataclass(value) and not isinstance(value, OffsetRange):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    return _scalar(value)


def _scalar(value: object) -> object:
    match value:
        case OffsetRange() | StrEnum():
            return str(value)
        case datetime():
            return value.isoformat()
        case float():
            return round(value, _DECIMALS)
    return value
