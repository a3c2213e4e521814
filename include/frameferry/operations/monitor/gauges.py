"""What is measured of pipelines, by names that stay: for Prometheus, OpenTelemetry and StatsD."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from frameferry.domain.alarms import BLIND, Alarm, AlarmKind
from frameferry.domain.status import Answer, PartitionStatus, Status

PREFIX: Final = "frameferry"
_MINUTE, _HOUR = 60, 3600
Labels = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Gauge:
    """
    One gauge: its name without the prefix, what it says, and its labels beside `pipeline`.

    A value that is not known has no sample: what is missing must not look like 0.
    """

    name: str
    help: str
    labels: Labels = ()

    @property
    def full_name(self) -> str:
        """The name as Prometheus has it."""
        return f"{PREFIX}_{self.name}"

    @property
    def label_names(self) -> Labels:
        """All labels, in the order of a sample's values."""
        return ("pipeline", *self.labels)


@dataclass(frozen=True, slots=True)
class Sample:
    """A gauge's value for these values of its labels, the pipeline's name first."""

    gauge: Gauge
    labels: Labels
    value: float

    @property
    def tags(self) -> Mapping[str, str]:
        """The labels by name."""
        return dict(zip(self.gauge.label_names, self.labels, strict=True))


Values = Iterable[tuple[Labels, float | None]]
Read = Callable[[Status], Values]

LOOKED_AT: Final = Gauge("looked_timestamp_seconds", "When this pipeline was looked at.")
ASKED: Final = Gauge("asked", "1 where the pipeline could be asked, otherwise 0.")
ALARMS: Final = Gauge("alarms", "Alarms of a kind that stand; 0 for none.", ("kind", "severity"))
HEALTHY: Final = Gauge("healthy", "1 where no alarm stands, otherwise 0.")


def _one(value: Callable[[Status], float | None]) -> Read:
    """Read one value of a pipeline."""
    return lambda status: [((), value(status))]


def _each_partition(value: Callable[[PartitionStatus], float | None]) -> Read:
    return lambda status: [((str(one.partition),), value(one)) for one in status.partitions]


def _times(value: float | None, unit: int) -> float | None:
    return None if value is None else value * unit


def _since_1970(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _oldest_age(status: Status) -> float | None:
    """Say how old the oldest is: 0 where nothing waits."""
    age = status.backlog.oldest_minutes
    if age is None and status.partitions and all(one.lag == 0 for one in status.partitions):
        return 0.0
    return _times(age, _MINUTE)


def _outcomes(status: Status) -> Values:
    counts = status.counts
    return [
        (("delivered",), counts.delivered),
        (("duplicate",), counts.duplicates),
        (("quarantined",), counts.quarantined),
    ]


def _label_shares(status: Status) -> Values:
    for one in status.label_shares:
        yield (one.label, "recent"), one.recent
        yield (one.label, "before"), one.before


OF_STATUS: Final[Mapping[Gauge, Read]] = {
    Gauge("lag_offsets", "Offsets from the committed one to the end.", ("partition",)): (
        _each_partition(lambda one: one.lag)
    ),
    Gauge("held_back_offsets", "Offsets behind an open transaction.", ("partition",)): (
        _each_partition(lambda one: one.held_back)
    ),
    Gauge("committed_offset", "The committed offset.", ("partition",)): (
        _each_partition(lambda one: one.committed)
    ),
    Gauge("oldest_unprocessed_age_seconds", "Age of the oldest unprocessed picture; 0: none."): (
        _one(_oldest_age)
    ),
    Gauge("retention_left_seconds", "Until Kafka may delete it; below 0: it may by now."): (
        _one(lambda status: _times(status.backlog.retention_hours_left, _HOUR))
    ),
    Gauge("arrivals_per_second", "Pictures that came in the last 15 min, a second."): (
        _one(lambda status: status.backlog.arrivals_per_second)
    ),
    Gauge("service_per_second", "Pictures that full batches would carry, a second."): (
        _one(lambda status: status.backlog.service_per_second)
    ),
    Gauge("last_delivered_timestamp_seconds", "When the newest delivered batch was."): (
        _one(lambda status: _since_1970(status.last_delivered_at))
    ),
    Gauge("open_batches", "Batches that are not committed."): (
        _one(lambda status: len(status.open_batches))
    ),
    Gauge("failing_batches", "Of these, those whose last attempt failed."): (
        _one(lambda status: sum(one.last_error is not None for one in status.open_batches))
    ),
    Gauge("records", "Records by outcome, since the first.", ("outcome",)): _outcomes,
    Gauge("gap_offsets", "Offsets lost in gaps that nobody accepted."): (
        _one(lambda status: status.counts.gaps)
    ),
    Gauge("pictures_last_hour", "Pictures that ended in the last hour."): (
        _one(lambda status: status.pictures_last_hour)
    ),
    Gauge("quarantined_last_hour", "Of these, those in quarantine."): (
        _one(lambda status: status.quarantined_last_hour)
    ),
    Gauge("label_share", "A label's share of judged pictures, 0 to 1.", ("label", "window")): (
        _label_shares
    ),
}
ALL: Final = (LOOKED_AT, ASKED, ALARMS, HEALTHY, *OF_STATUS)


def samples(answers: Iterable[Answer], looked_at: datetime) -> Iterator[Sample]:
    """Measure pipelines; one that could not be asked has only what says so."""
    for answer in answers:
        name = answer.pipeline
        yield Sample(LOOKED_AT, (name,), looked_at.timestamp())
        yield Sample(ASKED, (name,), float(answer.error is None))
        yield Sample(HEALTHY, (name,), float(answer.healthy))
        for kind, number in _alarms(answer).items():
            yield Sample(ALARMS, (name, kind.value, Alarm(kind, "").severity.value), number)
        if isinstance(answer, Status):
            yield from _of_status(answer)


def _alarms(answer: Answer) -> Mapping[AlarmKind, int]:
    """
    Count alarms by kind; also those that do not stand, as 0.

    StatsD keeps what it was told last, so what is over must be said. Where nobody can tell whether
    the others stand, they are left out.
    """
    standing = Counter(alarm.kind for alarm in answer.alarms)
    if not BLIND.isdisjoint(standing):
        return standing
    return {kind: standing[kind] for kind in AlarmKind}


def _of_status(status: Status) -> Iterator[Sample]:
    for gauge, read in OF_STATUS.items():
        for labels, value in read(status):
            if value is not None:
                yield Sample(gauge, (status.pipeline, *labels), value)
