"""List gaps, and sign one off on a person's word."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from frameferry.config.home import ledger_url
from frameferry.errors import ConfigError
from frameferry.ledger.opening import open_ledger


@dataclass(frozen=True, slots=True)
class PipelineGap:
    """One line of `frameferry gaps`: offsets `[start, end)` without a delivered image."""

    id: int
    pipeline: str
    partition: int
    start: int
    end: int
    cause: str
    found_at: datetime
    accepted_by: str | None


def list_gaps(pipelines: Sequence[str]) -> list[PipelineGap]:
    """List the gaps of some pipelines, oldest first, accepted or not."""
    with closing(open_ledger(ledger_url())) as ledger:
        return [
            PipelineGap(
                gap.id,
                name,
                gap.partition,
                gap.start,
                gap.end,
                gap.cause,
                gap.found_at,
                gap.accepted_by,
            )
            for name in pipelines
            for gap in ledger.gaps(name)
        ]


def accept_gap(gap_id: int, *, who: str, reason: str) -> None:
    """
    Sign a gap off, so that the committed offset passes it; a second time changes nothing.

    Raises:
        ConfigError: No reason is given.
        LedgerConflict: There is no such gap.
    """
    if not reason.strip():
        msg = "a reason is needed: it is kept with your name"
        raise ConfigError(msg, remedy="Say it with --reason")
    with closing(open_ledger(ledger_url())) as ledger:
        ledger.accept_gap(gap_id, who=who, reason=reason)
