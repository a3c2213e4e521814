"""
Measure what planning costs: one pipeline of 512 partitions, skewed.

    python benchmarks/planning.py
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from frameferry.domain.batch import StageRates
from frameferry.domain.offsets import Progress, Watermarks
from frameferry.domain.state import PipelineState
from frameferry.planning.gaps import find_gaps
from frameferry.planning.ranges import partition_lags, plan_ranges
from frameferry.planning.readiness import readiness
from frameferry.planning.sizing import Budget, size_budget

PARTITIONS: Final = 512
ROUNDS: Final = 50
BUDGET: Final = Budget(max_records=20_000, max_bytes=2 * 1024**3, target_seconds=60)
RATES: Final = StageRates(0.025, 0.008, 140_000, 0.5, 20_000)


def milliseconds(work: Callable[[], object]) -> float:
    """The best of many: what the work costs, not what else the machine did."""
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - began)
    return best * 1000


def main() -> None:
    chance = random.Random(4711)
    progress = {p: Progress(p, chance.randrange(10**6), 0) for p in range(PARTITIONS)}
    marks = {
        p: Watermarks(0, end := known.planned + chance.choice((0, 1, 50, 10**6)), end)
        for p, known in progress.items()
    }
    state = PipelineState(
        "press-a", 1, "c", "t", None, progress, (), RATES, datetime(2026, 11, 23, tzinfo=UTC)
    )

    def plan() -> None:
        find_gaps(progress, marks)
        sizing = size_budget(BUDGET, RATES, sum(partition_lags(progress, marks).values()))
        plan_ranges(progress, marks, budget_offsets=sizing.offsets)

    print(f"plan {PARTITIONS} partitions: {milliseconds(plan):.2f} ms")
    ready = milliseconds(lambda: readiness(state, marks, max_open=2))
    print(f"is there work in {PARTITIONS} partitions: {ready:.2f} ms")


if __name__ == "__main__":
    main()
