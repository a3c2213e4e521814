"""Watch a pipeline's backlog: how old it is, how fast it grows, what holds it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from frameferry.domain.offsets import Watermarks
from frameferry.domain.state import Overview, PipelineState
from frameferry.errors import FrameferryError
from frameferry.kafka.cluster import Cluster, TopicView
from frameferry.operations.alarms import GROWING, Figures, Waiting, figure
from frameferry.pipeline.context import Context
from frameferry.pipeline.proposing import budget_of
from frameferry.pipeline.world.world import is_other_topic
from frameferry.planning.pace import learn_pace

ARRIVING: Final = timedelta(minutes=15)
"""Arrivals are counted over so long: a burst is not a trend."""
LOOKS: Final = (GROWING, ARRIVING)
"""How long ago the earlier looks at a backlog were, the earliest first: Kafka's log tells them."""
_GLIMPSES: Final = 4
"""Partitions to read one record from, which costs a picture's bytes each."""
_GLIMPSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What Kafka said: the topic, the backlog's figures, since when transactions are open.

    `waiting` is what each partition holds unprocessed.
    `held_since` is None for a partition whose open transaction shows no timestamp; one that nobody
    looked at is missing. `trouble` says why not all is known, if so. `throttled_seconds` is how
    long a quota held back these very answers.
    """

    view: TopicView | None = None
    figures: Figures = field(default_factory=Figures)
    waiting: Mapping[int, Waiting] = field(default_factory=dict)
    held_since: Mapping[int, datetime | None] = field(default_factory=dict)
    trouble: str | None = None
    throttled_seconds: float = 0.0

    @property
    def watermarks(self) -> dict[int, Watermarks]:
        """The watermarks of the pipeline's partitions; none if Kafka is silent."""
        return self.view.watermarks if self.view else {}


def see(ctx: Context, overview: Overview) -> Seen:
    """Ask Kafka about the backlog. That Kafka is down is part of the answer, not an error."""
    known = overview.state
    view, partitions = None, ctx.settings.kafka.partitions
    try:
        with ctx.cluster() as cluster:
            view = cluster.view(
                ctx.settings.kafka.topic, None if partitions == "all" else partitions
            )
            if known is None or is_other_topic(known, view):
                return Seen(view)
            waiting = _waiting(ctx, cluster, view, known, overview.carried)
            figures = figures_of(ctx, waiting, view, known)
            since = _held_since(ctx, cluster, view)
            return Seen(
                view, figures, waiting, since, throttled_seconds=cluster.throttled_seconds()
            )
    except FrameferryError as error:
        return Seen(view, trouble=str(error.at(pipeline=ctx.pipeline)))


def figures_of(
    ctx: Context, waiting: Mapping[int, Waiting], view: TopicView, known: PipelineState
) -> Figures:
    """Work out how what waits stands, by the pace of the last batches."""
    pace, budget = learn_pace(known.costs), budget_of(ctx.settings)
    return figure(waiting, pace, budget, view.retention, known.now)


def _waiting(
    ctx: Context,
    cluster: Cluster,
    view: TopicView,
    known: PipelineState,
    carried: Sequence[Mapping[int, int]],
) -> dict[int, Waiting]:
    topic, marks = ctx.settings.kafka.topic, view.watermarks
    at = _unprocessed(known, marks)
    before = cluster.offsets_at(topic, tuple(marks), known.now - ARRIVING)
    oldest = _oldest(ctx, cluster, view, known, at)
    ends = _ends(cluster, topic, known, before) if carried else ()
    return {
        partition: Waiting(
            lag=max(marks[partition].end - offset, 0),
            arrived=max(marks[partition].end - before[partition], 0),
            seconds=ARRIVING.total_seconds(),
            oldest_at=oldest.get(partition),
            offset=offset,
            lags=tuple(
                max(end[partition] - offset + done.get(partition, 0), 0)
                for end, done in zip(ends, carried, strict=False)
            ),
        )
        for partition, offset in at.items()
    }


def _ends(
    cluster: Cluster, topic: str, known: PipelineState, before: Mapping[int, int]
) -> tuple[Mapping[int, int], ...]:
    """Find where each partition ended at the looks; *before* is what it was at the last of them."""
    earlier = (cluster.offsets_at(topic, tuple(before), known.now - age) for age in LOOKS[:-1])
    return (*earlier, before)


def _unprocessed(known: PipelineState, marks: Mapping[int, Watermarks]) -> dict[int, int]:
    """Find the first unprocessed offset that Kafka still holds, by partition."""
    committed = {partition: at.committed for partition, at in known.progress.items()}
    return {
        partition: max(committed.get(partition, 0), one.low) for partition, one in marks.items()
    }


def _oldest(
    ctx: Context,
    cluster: Cluster,
    view: TopicView,
    known: PipelineState,
    at: Mapping[int, int],
) -> dict[int, datetime | None]:
    """
    Read the timestamps of the oldest unprocessed records, of the few partitions that matter.

    Partitions with something near its end come first, then those with something stale, then the
    longest lags: so the oldest is among them whenever an alarm is due. The broker tells which by
    its own index.
    """
    lags = {p: lag for p, offset in at.items() if (lag := view.watermarks[p].end - offset) > 0}
    if not lags:
        return {}
    topic, watch = ctx.settings.kafka.topic, ctx.settings.watch
    ages = [watch.freshness_minutes * 60]
    if view.retention.seconds is not None:
        ages.insert(0, view.retention.seconds - watch.retention_hours * 3600)
    firsts = [cluster.offsets_at(topic, tuple(lags), _ago(known.now, age)) for age in ages]
    order = sorted(lags, key=lambda p: (*(first[p] <= at[p] for first in firsts), -lags[p]))
    return cluster.first_timestamps(
        topic,
        {partition: at[partition] for partition in order[:_GLIMPSES]},
        isolation="read_committed",
        timeout_seconds=min(_GLIMPSE_SECONDS, ctx.kafka_timeout_seconds),
    )


def _ago(now: datetime, seconds: float) -> datetime:
    """Go back so far from now, never ahead of it, and no further than 1970, where time begins."""
    at = now.timestamp()
    return datetime.fromtimestamp(at - min(max(seconds, 0), at), UTC)


def _held_since(ctx: Context, cluster: Cluster, view: TopicView) -> dict[int, datetime | None]:
    """Read the start times of the open transactions that hold back most."""
    held = {p: marks for p, marks in view.watermarks.items() if marks.held_back}
    if not held:
        return {}
    order = sorted(held, key=lambda p: -held[p].held_back)
    return cluster.first_timestamps(
        ctx.settings.kafka.topic,
        {partition: held[partition].end for partition in order[:_GLIMPSES]},
        isolation="read_uncommitted",
        timeout_seconds=min(_GLIMPSE_SECONDS, ctx.kafka_timeout_seconds),
    )
