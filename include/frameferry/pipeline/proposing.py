"""Choose the next batch from the ledger's state and Kafka's watermarks. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from frameferry.config.settings import PipelineSettings
from frameferry.domain.offsets import OffsetRange, Watermarks
from frameferry.domain.state import PipelineState
from frameferry.planning.pace import learn_pace
from frameferry.planning.ranges import partition_lags, plan_ranges
from frameferry.planning.readiness import may_open, progress_to_plan
from frameferry.planning.sizing import Budget, size_budget


@dataclass(frozen=True, slots=True)
class Proposal:
    """Ranges to freeze, and why so many."""

    ranges: tuple[OffsetRange, ...]
    sentence: str


def propose(
    settings: PipelineSettings,
    state: PipelineState,
    watermarks: Mapping[int, Watermarks],
    *,
    largest_record_bytes: int | None,
) -> Proposal | None:
    """
    Propose one more batch; None if enough are open or nothing lags.

    `largest_record_bytes` is the most that the topic lets a record have; None if unknown.
    """
    lag = sum(partition_lags(progress_to_plan(state, watermarks), watermarks).values())
    if not lag or not may_open(state, settings.batch.max_open):
        return None
    budget = budget_of(settings, largest_record_bytes=largest_record_bytes)
    sizing = size_budget(budget, learn_pace(state.costs), lag)
    ranges = plan_ranges(state.progress, watermarks, budget_offsets=sizing.offsets)
    return Proposal(ranges, sizing.sentence) if ranges else None


def budget_of(settings: PipelineSettings, *, largest_record_bytes: int | None = None) -> Budget:
    """Say what one batch of the pipeline may be."""
    return Budget(
        max_records=settings.batch.max_records,
        max_bytes=int(settings.batch.max_bytes),
        target_seconds=settings.batch.target_seconds,
        largest_record_bytes=largest_record_bytes,
    )
