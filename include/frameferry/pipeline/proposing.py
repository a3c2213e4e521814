"""Choose the next batch from the ledger's state and Kafka's watermarks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from frameferry.config.settings import PipelineSettings
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.state import OpenBatch, PipelineState
from frameferry.planning.ranges import plan_ranges
from frameferry.planning.sizing import Budget, size_budget


@dataclass(frozen=True, slots=True)
class Proposal:
    """Ranges to freeze, and why so many."""

    ranges: tuple[OffsetRange, ...]
    sentence: str


def propose(
    settings: PipelineSettings, state: PipelineState, watermarks: Mapping[int, Watermarks]
) -> Proposal | None:
    """
    Propose one more batch, or None: enough are open, or nothing lags.

    Batches that are finished and wait only for a gap or an earlier batch do not count as open.
    """
    if len(open_roots(state)) >= settings.batch.max_open:
        return None
    lag = total_lag(state, watermarks)
    if lag <= 0:
        return None
    sizing = size_budget(
        Budget(
            max_records=settings.batch.max_records,
            max_bytes=int(settings.batch.max_bytes),
            target_seconds=settings.batch.target_seconds,
        ),
        state.rates,
        lag,
    )
    ranges = plan_ranges(state.progress, watermarks, budget_offsets=sizing.offsets)
    return Proposal(ranges, sizing.sentence) if ranges else None


def open_roots(state: PipelineState) -> frozenset[int]:
    """List the live roots that still need work; the children of one root count as one."""
    return frozenset(
        leaf.root_id for leaf in state.open_batches if leaf.kind == "live" and not leaf.finished
    )


def total_lag(state: PipelineState, watermarks: Mapping[int, Watermarks]) -> int:
    """Offsets not yet planned, over all our partitions."""
    return sum(
        max(0, watermarks[partition].end - max(progress.planned, watermarks[partition].low))
        for partition, progress in state.progress.items()
        if partition in watermarks
    )


def actionable(state: PipelineState) -> tuple[int, ...]:
    """
    List the leaves to work on now, oldest first.

    A leaf in back-off or under a live lease is left out, and so is one that only waits for a gap
    or for an earlier batch.
    """
    return tuple(leaf.id for leaf in state.open_batches if _is_actionable(leaf, state))


def _is_actionable(leaf: OpenBatch, state: PipelineState) -> bool:
    resting = leaf.retry_at is not None and leaf.retry_at > state.now
    leased = leaf.leased_until is not None and leaf.leased_until > state.now
    return not (leaf.held_by_gap or resting or leased)
