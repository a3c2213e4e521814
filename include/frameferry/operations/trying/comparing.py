"""Hold a model against another: both judge the same local files, as a pipeline would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from frameferry.config.settings import ModelSettings, PipelineSettings
from frameferry.domain.records import Prediction
from frameferry.operations.trying.judging import Tried, try_files


@dataclass(frozen=True, slots=True)
class Compared:
    """One file, as the pipeline's own model judges it, and as the other one does."""

    file: str
    own: Prediction
    other: Prediction

    @property
    def is_same(self) -> bool:
        """Say whether both say the same label, or cannot judge it for the same reason."""
        return (self.own.label, self.own.reason) == (self.other.label, self.other.reason)


def compare(settings: PipelineSettings, other: str, files: Sequence[Path]) -> list[Compared]:
    """
    Judge files by the pipeline's model and by another, in order.

    The other has the pipeline's bounds and threshold; how it is fed and read is on its own card.

    Args:
        settings: The pipeline's.
        other: A model's path, or `package.module:Class`.
        files: As for `try_files`.

    Raises:
        ConfigError, ModelMismatch, JudgingFailed: As `try_files`.
    """
    own = list(try_files(settings, files))
    rival = settings.model_copy(update={"model": _named(settings, other)})
    return [_pair(*each) for each in zip(own, try_files(rival, files), strict=True)]


def moved(compared: Sequence[Compared]) -> dict[tuple[str, str], int]:
    """Count from which label to which others the verdicts differ, most first."""
    pairs = Counter((said(one.own), said(one.other)) for one in compared if not one.is_same)
    return dict(pairs.most_common())


def said(row: Prediction) -> str:
    """Say what a row says: its label, or why it has none."""
    return row.label or f"({row.reason})"


def _named(settings: PipelineSettings, other: str) -> ModelSettings:
    bounds = {"max_pixels", "max_image_bytes", "unjudged"}
    is_class = ":" in other and "/" not in other
    kept = bounds if is_class else {*bounds, "threshold", "grey_bits"}
    fields = settings.model_dump(mode="json")["model"]
    own = {key: value for key, value in fields.items() if key in kept}
    if settings.model != "none" and settings.model.judge is not None:
        own = {key: value for key, value in own.items() if key in bounds}
    return ModelSettings.model_validate({**own, "judge" if is_class else "path": other})


def _pair(own: Tried, other: Tried) -> Compared:
    return Compared(own.looked.name, own.looked.prediction, other.looked.prediction)
