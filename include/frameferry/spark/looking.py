"""Look at a model's files and card before any Spark job needs them."""

from __future__ import annotations

from frameferry.config.settings import ModelSettings
from frameferry.inference import judge


def check_model(settings: ModelSettings) -> None:
    """
    Check that a model's files and card are there and fit each other, without TensorFlow.

    Raises:
        ModelMismatch: Says what does not fit, and what to do.
    """
    judge.check_model(settings)
