"""
Renew the mirror of a pipeline that waits.

Kafka forgets the offsets of a group without members some time after their last commit, and a
pipeline that has nothing to do commits none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from frameferry.errors import FrameferryError, LedgerConflict
from frameferry.pipeline.context import Context
from frameferry.pipeline.world import witness, world

log = structlog.get_logger()

LONGEST_SECONDS: Final = 3600.0
"""A mirror is never older than this while its pipeline waits."""
_SHARE_OF_RETENTION: Final = 1 / 6
"""So early that five renewals in a row may fail."""
_AFTER_FAILURE_SECONDS: Final = 60.0


@dataclass(slots=True)
class Rounds:
    """
    When a process looks after each consumer group's mirror next, by its own clock.

    A waiting pipeline asks here every few seconds, but asks Kafka only when it is time again.
    Threads may share it: at worst a mirror is looked after twice.
    """

    clock: Callable[[], float] = time.monotonic
    _due: dict[str, float] = field(default_factory=dict)
    _troubled: set[str] = field(default_factory=set)

    def is_due(self, group: str) -> bool:
        """Say whether it is time; it is for a group that was never looked after."""
        due = self._due.get(group)
        return due is None or self.clock() >= due

    def put_off(self, group: str, seconds: float) -> None:
        """Look after it in so many seconds."""
        self._due[group] = self.clock() + seconds
        self._troubled.discard(group)

    def is_news(self, group: str) -> bool:
        """Note a trouble with the mirror; say whether it is the first since all was well."""
        is_news = group not in self._troubled
        self._troubled.add(group)
        return is_news


ROUNDS: Final = Rounds()
"""Those of this process."""


def look_after(ctx: Context, rounds: Rounds = ROUNDS) -> LedgerConflict | None:
    """
    Renew the mirror if it is time and the mirror is old; most calls ask nobody.

    Trouble on the way is logged and tried again later: waiting needs no mirror.

    Returns:
        What the witness has against the ledger; None if nothing, or if it was not asked.
    """
    if not rounds.is_due(ctx.group):
        return None
    try:
        trouble, seconds = _renewed(ctx)
    except FrameferryError as error:
        rounds.put_off(ctx.group, _AFTER_FAILURE_SECONDS)
        log.warning("witness.not_renewed", pipeline=ctx.pipeline, why=str(error))
        return None
    if trouble is None:
        rounds.put_off(ctx.group, seconds)
    elif rounds.is_news(ctx.group):
        log.warning("witness.objects", pipeline=ctx.pipeline, why=str(trouble))
    return trouble


def _renewed(ctx: Context) -> tuple[LedgerConflict | None, float]:
    """Renew the mirror if it is old enough; return the seconds until it is so again."""
    heard = witness.hear(ctx)
    known = world.state(ctx)
    trouble = witness.trouble_of(known, heard)
    every = _every_seconds(ctx)
    written = [one.at for one in witness.understand(known, heard).values()]
    if trouble is not None or not written:
        return trouble, every
    ages = [every if at is None else (known.now - at).total_seconds() for at in written]
    # A moment in the future was written by another clock.
    if all(0 <= age < every for age in ages):
        return None, every - max(ages)
    witness.testify(ctx, known)
    log.info("witness.renewed", pipeline=ctx.pipeline)
    return None, every


def _every_seconds(ctx: Context) -> float:
    with ctx.cluster() as cluster:
        kept = cluster.offsets_kept_seconds()
    return LONGEST_SECONDS if kept is None else min(LONGEST_SECONDS, kept * _SHARE_OF_RETENTION)
