"""Compare another machine's clock with ours."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from frameferry.domain.signs import Answer, fine, warning, wrong
from frameferry.domain.wording import in_time

_NOTED: Final = timedelta(seconds=5)
_TOO_FAR: Final = timedelta(minutes=5)
"""From there on certificates, alarms and times of files are wrong by what people notice."""
_REMEDY: Final = "Let both machines keep time (chrony, systemd-timesyncd)"


def compared(
    theirs: datetime,
    before: datetime,
    after: datetime,
    *,
    whose: str,
    unit: timedelta = timedelta(0),
) -> Answer:
    """
    Say how far a clock is off.

    Args:
        theirs: What it showed, between *before* and *after* by our own clock.
        before: When it was asked.
        after: When it had answered.
        whose: Which clock.
        unit: It shows no smaller parts than this, and so may show as much too little.
    """
    ahead = max(theirs - after, timedelta(0))
    behind = max(before - theirs - unit, timedelta(0))
    off = max(ahead, behind)
    if off <= _NOTED:
        return fine(f"{whose} is within {_NOTED.seconds} s of ours")
    word = "ahead of" if ahead else "behind"
    seen = f"{whose} is {in_time(off.total_seconds())} {word} ours"
    return (wrong if off > _TOO_FAR else warning)(seen, _REMEDY)
