"""What was set out to be reached, and whether it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.pipeline.contestants import FERRY, LOOP, OLD, SCHEDULED
from benchmarks.pipeline.loads import FAR, NEAR, SCHEDULER
from benchmarks.pipeline.results import Results
from benchmarks.pipeline.rounds import Round


def speed(found: Round) -> float:
    return found.images_per_second


def processor(found: Round) -> float:
    return found.processor_ms


@dataclass(frozen=True)
class Goal:
    """In one part, *side* times *other*, by one measure: at least, or at most, *bound*."""

    text: str
    part: str
    side: str
    other: str
    measure: Callable[[Round], float]
    bound: float
    is_most: bool = False

    def ratio(self, results: Results, model: str, size: str) -> float | None:
        """Divide the medians; None where one side did not run."""
        ours, theirs = (
            results.median(results.of(self.part, name, model, size), self.measure)
            for name in (self.side, self.other)
        )
        return ours / theirs if ours is not None and theirs else None

    def is_reached(self, ratio: float) -> bool:
        return ratio <= self.bound if self.is_most else ratio >= self.bound


GOALS: Final = (
    Goal("images/s, times the loop's: at least 1.2", NEAR, FERRY, LOOP, speed, 1.2),
    Goal(
        "CPU-ms an image, times the loop's: at most 1.15",
        *(NEAR, FERRY, LOOP, processor, 1.15),
        is_most=True,
    ),
    Goal("images/s, times the old design's: at least 1.3", NEAR, FERRY, OLD, speed, 1.3),
    Goal("images/s at 20 ms, times the old design's: at least 8", FAR, FERRY, OLD, speed, 8),
    Goal(
        "images/s under Airflow, times without: at least 0.9",
        SCHEDULER,
        SCHEDULED,
        FERRY,
        speed,
        0.9,
    ),
)


def judged(results: Results) -> Iterator[tuple[Goal, str, str, float]]:
    """Yield each goal with each load that it is for, and the ratio measured there."""
    for goal in GOALS:
        for model, size in results.loads(goal.part):
            ratio = goal.ratio(results, model, size)
            if ratio is not None:
                yield goal, model, size, ratio
