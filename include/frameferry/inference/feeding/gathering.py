"""Make one answer of a picture's tiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from frameferry.config.preprocessing import TilesSettings
from frameferry.inference.card import Spec

Rows = NDArray[np.float32]


def gathered(rows: Rows, spec: Spec) -> Rows:
    """
    Choose or make the raw outputs that stand for the whole picture.

    A tile whose outputs are not finite stands for it, since nobody knows what it shows.

    Args:
        rows: (tiles, outputs), as the model gave them.
        spec: Says how, under `preprocessing.tiles`.

    Returns:
        (outputs,)
    """
    tiles = spec.steps.tiles if spec.steps else None
    if tiles is not None and tiles.verdict == "mean" and np.isfinite(rows).all():
        mean: Rows = rows.mean(axis=0, dtype=np.float32)
        return mean
    chosen: Rows = rows[_standing(rows, spec, tiles)]
    return chosen


def _standing(rows: Rows, spec: Spec, tiles: TilesSettings | None) -> int:
    """Choose the tile that stands for the picture."""
    odd = ~np.isfinite(rows).all(axis=1)
    if tiles is None or len(rows) == 1 or odd.any():
        return int(odd.argmax())
    return _surest(rows, spec.labels.index(tiles.background or ""), tiles.verdict == "any")


def _surest(rows: Rows, background: int, only_others: bool) -> int:  # noqa: FBT001
    """Find the tile with the highest output beside the background's."""
    if rows.shape[1] == 1:
        # One output, for the second of two labels.
        return int(rows[:, 0].argmin() if background else rows[:, 0].argmax())
    beside = np.delete(rows, background, axis=1).max(axis=1)
    says_other = rows.argmax(axis=1) != background
    if only_others and says_other.any():
        beside = np.where(says_other, beside, -np.inf)
    return int(beside.argmax())
