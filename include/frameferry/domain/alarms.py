"""What can be wrong with a pipeline: alarms, by names that stay, each with what to do about it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad an alarm is, for whoever is woken by it."""

    WARNING = "warning"
    CRITICAL = "critical"


class AlarmKind(StrEnum):
    """The names of alarms, which stay: docs/alarms.md says of each when it is raised."""

    UNASKED = "unasked"
    KAFKA_UNASKED = "kafka_unasked"
    BLOCKED = "blocked"
    LEDGER_DOUBTED = "ledger_doubted"
    TOPIC_REPLACED = "topic_replaced"
    LOG_TRUNCATED = "log_truncated"
    OFFSETS_LOST = "offsets_lost"
    RETENTION = "retention"
    FRESHNESS = "freshness"
    FALLING_BEHIND = "falling_behind"
    BATCH_FAILING = "batch_failing"
    QUARANTINE_RATE = "quarantine_rate"
    QUARANTINE_EXPIRING = "quarantine_expiring"
    QUARANTINE_UNKEPT = "quarantine_unkept"
    LABEL_DRIFT = "label_drift"
    HANGING_TRANSACTION = "hanging_transaction"
    QUOTA = "quota"
    PARTITION_TAKEN = "partition_taken"
    PARTITION_UNOWNED = "partition_unowned"
    NEVER_PLANNED = "never_planned"
    REMARK = "remark"
    ASKED_ALONE = "asked_alone"


CRITICAL: Final = frozenset(
    {
        AlarmKind.UNASKED,
        AlarmKind.KAFKA_UNASKED,
        AlarmKind.BLOCKED,
        AlarmKind.LEDGER_DOUBTED,
        AlarmKind.TOPIC_REPLACED,
        AlarmKind.LOG_TRUNCATED,
        AlarmKind.OFFSETS_LOST,
        AlarmKind.RETENTION,
        AlarmKind.QUARANTINE_EXPIRING,
    }
)
"""Nothing goes on without a person, or pictures are lost, or nobody can tell."""
BLIND: Final = frozenset({AlarmKind.UNASKED, AlarmKind.KAFKA_UNASKED})
"""Where one of these stands, nobody knows whether others would."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """
    One trouble of a pipeline, in one sentence with what to do about it.

    `about` tells alarms of one kind apart that stand at once, such as a partition or a label; it
    must not change while the trouble is the same. `partition`, `offset` and `batch` are None where
    the trouble is not one's alone.
    """

    kind: AlarmKind
    sentence: str
    about: str = ""
    partition: int | None = None
    offset: int | None = None
    batch: int | None = None

    @property
    def severity(self) -> Severity:
        """How bad it is; a kind has one severity."""
        return Severity.CRITICAL if self.kind in CRITICAL else Severity.WARNING

    @property
    def key(self) -> str:
        """The same as long as it is the same trouble, whatever its sentence says by now."""
        return f"{self.kind}:{self.about}" if self.about else str(self.kind)


def worst_first(alarms: Iterable[Alarm]) -> tuple[Alarm, ...]:
    """Order alarms: critical ones first, otherwise as they came."""
    return tuple(sorted(alarms, key=lambda alarm: alarm.severity is not Severity.CRITICAL))
