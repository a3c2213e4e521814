"""The offset ranges of the next batch, shared fairly between partitions."""

from __future__ import annotations

from collections.abc import Mapping

from frameferry.domain.offsets import OffsetRange, Progress, Watermarks


def plan_ranges(
    progress: Mapping[int, Progress],
    watermarks: Mapping[int, Watermarks],
    *,
    budget_offsets: int,
) -> tuple[OffsetRange, ...]:
    """
    Choose the offset ranges of the next batch.

    Shares the budget max-min fair: a short backlog is taken whole, the long ones share the rest
    alike (to within one offset), so each partition with lag gets at least one offset while the
    budget lasts. A budget below the number of lagging partitions gives one offset each to as
    many as it can and rotates: a partition that keeps lagging is served within
    `ceil(len(progress) / budget_offsets)` plans. The turn is the sum of all planned offsets,
    which every such plan moves by exactly its budget; so nothing but the progress is needed.

    Args:
        progress: Every partition of the pipeline, also those without lag.
        watermarks: Read once, before the call. A partition that is missing here is left out, as
            is one whose planned offset lies below its low watermark: record its gap first.
        budget_offsets: For the whole batch, in offsets (not records).

    Returns:
        At most one range per partition, sorted by partition, starting at its planned offset;
        together at most `budget_offsets` long, and exactly that if there is that much lag.
    """
    lags = partition_lags(progress, watermarks)
    if 0 < budget_offsets < len(lags):
        served = _in_turn(progress, lags)[:budget_offsets]
        shares = dict.fromkeys(served, 1)
    else:
        shares = _fair_shares(lags, max(budget_offsets, 0))
    return tuple(
        OffsetRange(partition, progress[partition].planned, progress[partition].planned + share)
        for partition, share in sorted(shares.items())
        if share
    )


def partition_lags(
    progress: Mapping[int, Progress], watermarks: Mapping[int, Watermarks]
) -> dict[int, int]:
    """
    Count the offsets to plan per partition; only partitions that have some.

    A partition whose planned offset lies below its low watermark has none yet: its gap comes
    first.
    """
    return {
        partition: marks.end - known.planned
        for partition, known in progress.items()
        if (marks := watermarks.get(partition)) and marks.low <= known.planned < marks.end
    }


def _fair_shares(lags: Mapping[int, int], budget: int) -> dict[int, int]:
    """Serve the shortest backlogs first, each with at most an equal part of what is left."""
    shares = {}
    for served, (partition, lag) in enumerate(sorted(lags.items(), key=lambda item: item[1])):
        share = min(lag, budget // (len(lags) - served))
        shares[partition] = share
        budget -= share
    return shares


def _in_turn(progress: Mapping[int, Progress], lags: Mapping[int, int]) -> list[int]:
    """
    Order the lagging partitions, beginning at this plan's turn.

    Turns count places among *all* partitions. One that is not served has at least a budget's
    worth of served ones between the turn and itself, so the turn never passes it.
    """
    places = {partition: place for place, partition in enumerate(sorted(progress))}
    turn = sum(known.planned for known in progress.values())
    return sorted(lags, key=lambda partition: (places[partition] - turn) % len(places))
