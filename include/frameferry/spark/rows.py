"""The rows that workers return, by name and kind of value; Spark and Arrow follow it."""

from __future__ import annotations

from typing import Final

from frameferry.domain.columns import MET, SAID

ROW_KINDS: Final[dict[str, type]] = {
    **MET,
    **SAID,
    "reason": str,
    "detail": str,
    "headers": dict,
    "judge_digest": str,
    "loading_seconds": float,
    "ready_seconds": float,
    "throttled_seconds": float,
}
"""First what becomes a Prediction, then what is said about the task."""
