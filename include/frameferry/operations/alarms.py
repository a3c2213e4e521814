"""Alarms: pictures that grow old, that Kafka will soon forget, that come faster than they go."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from frameferry.domain.alarms import Alarm, AlarmKind
from frameferry.domain.offsets import Retention
from frameferry.domain.wording import counted, in_bytes, in_time
from frameferry.planning.pace import Pace
from frameferry.planning.sizing import Budget, records_per_second

HANGING: Final = timedelta(seconds=60)
"""A transaction open for longer is reported: Kafka's producers give up theirs after as long."""
GROWING: Final = timedelta(minutes=30)
"""A backlog that grows is one that grew in each half of this time."""
_HOUR: Final = 3600.0
_MINUTE: Final = 60.0
_YEARS: Final = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2101, 1, 1, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Limits:
    """When to raise an alarm (`watch` and `batch` of the pipeline's file)."""

    retention_hours: float
    freshness_minutes: float
    target_seconds: float


@dataclass(frozen=True, slots=True)
class Waiting:
    """
    What one partition holds unprocessed.

    `lag` counts offsets from the committed one to the last stable one, `arrived` those that came
    during `seconds` before now. `oldest_at` is the timestamp of its oldest unprocessed record; None
    if nobody looked, or it has none. `offset` is that record's. `lags` are what `lag` was at
    earlier looks, the earliest first; empty if nobody can tell.
    """

    lag: int
    arrived: int
    seconds: float
    oldest_at: datetime | None = None
    offset: int | None = None
    lags: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Figures:
    """
    How a backlog stands, over all partitions; None if it cannot be known, or nothing waits.

    Rates are in pictures a second; `service` is what batches of full size would carry without a
    pause. `oldest` is the partition and offset of the oldest picture. `lags` are what `lag` was at
    earlier looks, the earliest first; empty if nobody can tell.
    """

    lag: int = 0
    oldest_at: datetime | None = None
    oldest: tuple[int, int] | None = None
    lags: tuple[int, ...] = ()
    oldest_seconds: float | None = None
    expires_in_seconds: float | None = None
    arrivals_per_second: float | None = None
    service_per_second: float | None = None

    @property
    def is_falling_behind(self) -> bool:
        """Say whether more arrives than can be carried."""
        arrivals, service = self.arrivals_per_second, self.service_per_second
        return arrivals is not None and service is not None and arrivals > service

    @property
    def is_growing(self) -> bool:
        """Say whether more waited at each look than at the one before."""
        looks = (*self.lags, self.lag)
        return len(looks) > 1 and all(before < after for before, after in pairwise(looks))


def figure(
    waiting: Mapping[int, Waiting],
    pace: Pace | None,
    budget: Budget,
    retention: Retention,
    now: datetime,
) -> Figures:
    """
    Work out how a backlog stands.

    A record expires, at the earliest, when it is as old as the topic keeps records, or when as many
    bytes as the topic keeps came after it. Bytes are estimated by the mean of the last batches.

    Args:
        waiting: By partition.
        pace: What the last batches cost; None without history: every offset counts as a picture.
        budget: What a batch may be: the service is that of batches of full size.
        retention: What the topic keeps.
        now: The ledger's clock; the records' timestamps are their producers'.
    """
    share = pace.records_per_offset if pace else 1.0
    oldest, oldest_at = _oldest(waiting)
    return Figures(
        lag=round(share * sum(one.lag for one in waiting.values())),
        lags=tuple(
            round(share * sum(look))
            for look in zip(*(w.lags for w in waiting.values()), strict=True)
        ),
        oldest_at=oldest_at,
        oldest=oldest,
        oldest_seconds=None if oldest_at is None else (now - oldest_at).total_seconds(),
        expires_in_seconds=_expires_in(waiting, pace, retention, oldest_at, now),
        arrivals_per_second=share * sum(one.arrived / one.seconds for one in waiting.values()),
        service_per_second=_service(budget, pace),
    )


def not_kept(number: int, keep_bytes: int, folder: Path) -> list[Alarm]:
    """Say that copies are wanted and are not there, though Kafka holds the pictures."""
    if not number or not keep_bytes:
        return []
    many = f"{counted(number, 'picture')} in quarantine {'has' if number == 1 else 'have'}"
    line = (
        f"{many} no kept copy: either quarantine.keep_bytes ({in_bytes(keep_bytes)}) is used up, "
        f"and the newest are kept, or {folder} could not be written: see quarantine.not_kept in "
        "the log of deliver. The next delivery tries again"
    )
    return [Alarm(AlarmKind.QUARANTINE_UNKEPT, line)]


def _oldest(
    waiting: Mapping[int, Waiting],
) -> tuple[tuple[int, int] | None, datetime | None]:
    """Find the oldest picture's place and timestamp."""
    dated = [
        (one.oldest_at, partition, one.offset)
        for partition, one in sorted(waiting.items())
        if one.oldest_at is not None and _is_dated(one.oldest_at)
    ]
    if not dated:
        return None, None
    moment, partition, offset = min(dated, key=lambda one: one[0])
    return None if offset is None else (partition, offset), moment


def alarms(figures: Figures, limits: Limits) -> list[Alarm]:
    """List the alarms of a backlog; empty if all is well."""
    said = {
        AlarmKind.FRESHNESS: _stale(figures, limits.freshness_minutes),
        AlarmKind.RETENTION: _expiring(figures, limits.retention_hours),
        AlarmKind.FALLING_BEHIND: _falling_behind(figures, limits.target_seconds)
        or _growing(figures, limits.target_seconds),
    }
    return [_placed(kind, sentence, figures) for kind, sentence in said.items() if sentence]


def _placed(kind: AlarmKind, sentence: str, figures: Figures) -> Alarm:
    """Say where the oldest picture is, if the alarm is about it."""
    if figures.oldest is None or kind is AlarmKind.FALLING_BEHIND:
        return Alarm(kind, sentence)
    partition, offset = figures.oldest
    return Alarm(kind, sentence, partition=partition, offset=offset)


def hanging(partition: int, held_back: int, since: datetime | None, now: datetime) -> Alarm | None:
    """Say that a transaction was left open; None while it is young, or nothing is held back."""
    if not held_back or (since is not None and now - since < HANGING):
        return None
    when = f" since {_moment(since)}" if since is not None and _is_dated(since) else ""
    sentence = (
        f"An open transaction holds back {counted(held_back, 'offset')} of partition {partition}"
        f"{when}. Wait for it, or end it: kafka-transactions.sh find-hanging"
    )
    kind = AlarmKind.HANGING_TRANSACTION
    return Alarm(kind, sentence, about=str(partition), partition=partition)


def forgetting(number: int, figures: Figures, retention_hours: float) -> list[Alarm]:
    """
    Say that Kafka will soon forget pictures in quarantine of which no copy is kept.

    Args:
        number: How many Kafka still holds.
        figures: How they stand, as if they were what waits.
        retention_hours: From when on to say so.
    """
    left = figures.expires_in_seconds
    if not number or left is None or left >= retention_hours * _HOUR:
        return []
    when = f"in {in_time(left)}" if left > 0 else "at any moment"
    many = f"{counted(number, 'picture')} in quarantine {'is' if number == 1 else 'are'}"
    line = (
        f"{many} not kept, and Kafka may forget the first {when} "
        f"(watch.retention_hours: {retention_hours:g}). Retry, save or resolve them, or let copies "
        "be kept: quarantine.keep_bytes"
    )
    return [_placed(AlarmKind.QUARANTINE_EXPIRING, line, figures)]


def nobody_carries(topic: str, partitions: tuple[int, ...]) -> list[Alarm]:
    """Say that nobody carries these partitions of a shared topic; empty if there are none."""
    if not partitions:
        return []
    names = ", ".join(map(str, partitions))
    which = "partition" if len(partitions) == 1 else "partitions"
    remedy = "Give it to one (kafka.partitions), or let its pipeline make its first plan"
    sentence = f"No pipeline owns {which} {names} of topic {topic}, so nobody carries it. {remedy}"
    return [Alarm(AlarmKind.PARTITION_UNOWNED, sentence)]


def _stale(figures: Figures, freshness_minutes: float) -> str | None:
    age, oldest_at = figures.oldest_seconds, figures.oldest_at
    if age is None or oldest_at is None or age <= freshness_minutes * _MINUTE:
        return None
    return (
        f"The oldest unprocessed picture{_place(figures)} is of {_moment(oldest_at)}, "
        f"{in_time(age)} old "
        f"(watch.freshness_minutes: {freshness_minutes:g}). "
        "See the open batches for what holds it up"
    )


def _expiring(figures: Figures, retention_hours: float) -> str | None:
    left = figures.expires_in_seconds
    if left is None or left >= retention_hours * _HOUR:
        return None
    when = f"expires in {in_time(left)}" if left > 0 else "may expire at any moment"
    return (
        f"The oldest unprocessed picture{_place(figures)} {when} "
        f"(watch.retention_hours: {retention_hours:g}). "
        "Raise the topic's retention until the backlog is carried"
    )


def _falling_behind(figures: Figures, target_seconds: float) -> str | None:
    """Say so only if more waits than one batch carries, since a burst does not count."""
    arrivals, service = figures.arrivals_per_second, figures.service_per_second
    if not figures.is_falling_behind or arrivals is None or service is None:
        return None
    if figures.lag <= service * target_seconds:
        return None
    return (
        f"Falling behind: {_a_minute(arrivals)} pictures a minute arrive, {_a_minute(service)} "
        f"can be carried; {counted(figures.lag, 'picture')} wait. Give it more executors, or "
        "connections, or share the topic's partitions between pipelines"
    )


def _growing(figures: Figures, target_seconds: float) -> str | None:
    """Say that the backlog grew from look to look, however fast batches are."""
    service = figures.service_per_second
    if not figures.is_growing or service is None or figures.lag <= service * target_seconds:
        return None
    grew = " to ".join(f"{lag:,}" for lag in (*figures.lags, figures.lag))
    return (
        f"Falling behind: the backlog grew from {grew} pictures in "
        f"{in_time(GROWING.total_seconds())}, though {_a_minute(service)} a minute can be carried. "
        "See whether its DAG is paused, or waits for a pool, and what its open batches wait for"
    )


def _place(figures: Figures) -> str:
    """Name the oldest picture's partition and offset, if they are known."""
    return " (partition {}, offset {})".format(*figures.oldest) if figures.oldest else ""


def _expires_in(
    waiting: Mapping[int, Waiting],
    pace: Pace | None,
    retention: Retention,
    oldest_at: datetime | None,
    now: datetime,
) -> float | None:
    left = []
    if retention.seconds is not None and oldest_at is not None:
        left.append(retention.seconds - (now - oldest_at).total_seconds())
    if retention.bytes is not None and pace is not None:
        size = pace.bytes_per_record * pace.records_per_offset
        left += [
            (retention.bytes / size - one.lag) / (one.arrived / one.seconds)
            for one in waiting.values()
            if one.lag and one.arrived and size
        ]
    return min(left, default=None)


def _service(budget: Budget, pace: Pace | None) -> float | None:
    """Say what can be carried; None if no record was met, since no cost is known then."""
    known = pace is not None and pace.records_per_offset > 0
    return records_per_second(budget, pace) if pace is not None and known else None


def _is_dated(moment: datetime | None) -> bool:
    """Say whether a timestamp is set, and not by a camera that lost its clock."""
    return moment is not None and _YEARS[0] <= moment < _YEARS[1]


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _a_minute(per_second: float) -> str:
    each = per_second * _MINUTE
    return f"{each:,.0f}" if each >= 1 else f"{each:.1g}"
