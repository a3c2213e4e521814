"""Which alarms are new since the last look: each is told once, and once more when it is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from frameferry.domain.alarms import BLIND, CRITICAL, Alarm, Severity
from frameferry.domain.status import Answer


@dataclass(frozen=True, slots=True)
class Standing:
    """An alarm at earlier looks: seen first when, and whether it was told."""

    since: datetime
    is_told: bool


Memory = Mapping[str, Mapping[str, Standing]]
"""What stood at the last look, by pipeline and an alarm's key."""


@dataclass(frozen=True, slots=True)
class New:
    """An alarm that is to be told, and since when it stands."""

    pipeline: str
    alarm: Alarm
    since: datetime

    @property
    def severity(self) -> Severity:
        """The alarm's."""
        return self.alarm.severity


@dataclass(frozen=True, slots=True)
class Over:
    """An alarm that was told, and stands no more."""

    pipeline: str
    key: str
    since: datetime

    @property
    def severity(self) -> Severity:
        """The severity that it was told with; a kind that is no more was a warning."""
        critical = {kind.value for kind in CRITICAL}
        return Severity.CRITICAL if self.key.partition(":")[0] in critical else Severity.WARNING


@dataclass(frozen=True, slots=True)
class News:
    """What is to be told after a look, and what is to be remembered once it was told."""

    new: tuple[New, ...] = ()
    over: tuple[Over, ...] = ()
    memory: Memory = field(default_factory=dict)


def news(memory: Memory, answers: Iterable[Answer], now: datetime) -> News:
    """
    Compare a look with the one before.

    A critical alarm is told at once, a warning at the second look that sees it: most warnings that
    last for one look only are over by themselves. Where a pipeline or its Kafka could not be asked,
    what stood before is kept, since nobody knows whether it is over. A pipeline that is gone is
    forgotten.
    """
    new: list[New] = []
    over: list[Over] = []
    kept: dict[str, dict[str, Standing]] = {}
    for answer in answers:
        before = memory.get(answer.pipeline, {})
        seen = {alarm.key: _standing(alarm, before.get(alarm.key), now) for alarm in answer.alarms}
        new += _new(answer, before, seen)
        gone = {key: standing for key, standing in before.items() if key not in seen}
        if any(alarm.kind in BLIND for alarm in answer.alarms):
            seen |= gone
        else:
            over += [
                Over(answer.pipeline, key, standing.since)
                for key, standing in gone.items()
                if standing.is_told
            ]
        kept[answer.pipeline] = seen
    return News(tuple(new), tuple(over), kept)


def _standing(alarm: Alarm, before: Standing | None, now: datetime) -> Standing:
    if before is None:
        return Standing(now, is_told=alarm.severity is Severity.CRITICAL)
    return Standing(before.since, is_told=True)


def _new(
    answer: Answer, before: Mapping[str, Standing], seen: Mapping[str, Standing]
) -> Iterator[New]:
    told = {key for key, standing in before.items() if standing.is_told}
    for alarm in {one.key: one for one in answer.alarms}.values():
        if seen[alarm.key].is_told and alarm.key not in told:
            yield New(answer.pipeline, alarm, seen[alarm.key].since)


def memory_to_json(memory: Memory) -> dict[str, Any]:
    """Write what is remembered in JSON's own types; pipelines without an alarm are left out."""
    return {
        pipeline: {
            key: {"since": one.since.isoformat(), "told": one.is_told} for key, one in keys.items()
        }
        for pipeline, keys in memory.items()
        if keys
    }


def memory_from_json(told: Any) -> Memory:  # noqa: ANN401 - whatever was kept
    """
    Read what `memory_to_json` wrote; nothing is remembered where it is something else.

    So the worst that a damaged memory does is that alarms are told again.
    """
    try:
        return {
            pipeline: {
                key: Standing(datetime.fromisoformat(one["since"]), is_told=bool(one["told"]))
                for key, one in keys.items()
            }
            for pipeline, keys in told.items()
        }
    except (AttributeError, KeyError, TypeError, ValueError):
        return {}
