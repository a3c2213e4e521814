"""Alarms of shares: how much goes to quarantine, and whether labels come as often as they did."""

from __future__ import annotations

from typing import Final

from frameferry.config.settings import WatchSettings
from frameferry.domain.alarms import Alarm, AlarmKind
from frameferry.domain.state import Ended
from frameferry.domain.wording import counted, in_time

FEWEST_QUARANTINED: Final = 5
"""Fewer are single pictures, whatever their share."""
_HOUR: Final = 3600.0


def quarantining(pipeline: str, ended: Ended, watch: WatchSettings) -> list[Alarm]:
    """Say that more of the last hour's pictures went to quarantine than may; empty otherwise."""
    number, pictures = ended.quarantined, ended.pictures
    if number < FEWEST_QUARANTINED or number <= watch.quarantine_share * pictures:
        return []
    sentence = (
        f"{number:,} of the last hour's {counted(pictures, 'picture')} went to quarantine "
        f"(watch.quarantine_share: {watch.quarantine_share:g}). "
        f"See their reasons: frameferry quarantine {pipeline}"
    )
    return [Alarm(AlarmKind.QUARANTINE_RATE, sentence)]


def drifting(recent: Ended, before: Ended, watch: WatchSettings) -> list[Alarm]:
    """
    Say of each label whose share changed by more than it may.

    Shares are of judged pictures that have a file. Nothing is said unless both times have as many
    as the settings want.
    """
    if min(recent.judged, before.judged) < watch.drift_pictures:
        return []
    return [
        _drifted(label, share, was, recent, watch)
        for label, (share, was) in label_shares(recent, before).items()
        if abs(share - was) > watch.drift_share
    ]


def label_shares(recent: Ended, before: Ended) -> dict[str, tuple[float, float]]:
    """Give each label's share of both times, by label; 0 where nothing was judged."""
    return {
        label: (_share(recent, label), _share(before, label))
        for label in sorted({*recent.labels, *before.labels})
    }


def _share(ended: Ended, label: str) -> float:
    return ended.labels.get(label, 0) / ended.judged if ended.judged else 0.0


def _drifted(label: str, share: float, was: float, recent: Ended, watch: WatchSettings) -> Alarm:
    sentence = (
        f"Label {label} is {share:.0%} of the {counted(recent.judged, 'picture')} judged in the "
        f"last {in_time(watch.drift_hours * _HOUR)}, and was {was:.0%} in the 7 days before "
        f"(watch.drift_share: {watch.drift_share:g}). Look at pictures of it: the line, the "
        "camera, its light or the model may be another"
    )
    return Alarm(AlarmKind.LABEL_DRIFT, sentence, about=label)
