"""What mapped tasks are called in Airflow's grid."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameferry.domain.batch import Batch, Token
from frameferry.domain.offsets import OffsetRange


def batch(*ranges: OffsetRange) -> Batch:
    nothing = (None, None, None, None, None)
    token = Token("e", 12, 1)
    return Batch(12, "press-a", 1, "live", None, ranges, token, "", "", *nothing)


@pytest.mark.parametrize(
    ("ranges", "label"),
    [
        ([(0, 120, 620)], "batch 12: p0 120-620"),
        ([(0, 1, 2), (1, 0, 9)], "batch 12: p0 1-2, p1 0-9"),
        ([(n, 0, n + 1) for n in range(500)], "batch 12: p0 0-1, p1 0-2, p2 0-3, 497 more"),
    ],
)
def test_a_label_says_which_offsets_and_stays_short(
    airflow_home: Path, ranges: list[tuple[int, int, int]], label: str
) -> None:
    from frameferry.orchestration.tasks import batch_label

    assert label == batch_label(batch(*(OffsetRange(*one) for one in ranges)))
