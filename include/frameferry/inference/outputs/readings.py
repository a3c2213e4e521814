"""From what a card states of an output to what reads it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from frameferry.inference.outputs.boxes import BoxesReading
from frameferry.inference.outputs.classes import ClassesReading, MultiLabelReading
from frameferry.inference.outputs.finding import Reading
from frameferry.inference.outputs.masks import MaskReading
from frameferry.inference.outputs.numbers import AnomalyReading, EmbeddingReading, NumberReading
from frameferry.inference.outputs.stated import Boxes, Stated

_READINGS: Final[Mapping[str, type[Any]]] = {
    "classes": ClassesReading,
    "labels": MultiLabelReading,
    "number": NumberReading,
    "anomaly": AnomalyReading,
    "embedding": EmbeddingReading,
    "boxes": BoxesReading,
    "mask": MaskReading,
}
"""A reading has the fields that are stated, by the same names."""
_BY_FORM: Final[Mapping[str, Mapping[str, Any]]] = {
    "tensorflow": {"coordinates": "rel_yxyx", "first_class": 1},
    "keras": {"coordinates": "xyxy", "first_class": 0},
}
"""What a form has by itself."""


def reading_of(
    stated: Stated, *, threshold: float, height_pixels: int, width_pixels: int
) -> Reading:
    """
    Make what reads an output.

    Args:
        stated: What the card says of it.
        threshold: The pipeline's, for outputs that take one and have none of their own.
        height_pixels: Of the model's input.
        width_pixels: The same.
    """
    said = stated.model_dump(exclude={"kind"})
    if "threshold" in said and said["threshold"] is None:
        said["threshold"] = threshold
    if isinstance(stated, Boxes):
        by_form = _BY_FORM[stated.form]
        said |= {name: value for name, value in by_form.items() if said[name] is None}
        said |= {"height_pixels": height_pixels, "width_pixels": width_pixels}
    reading: Reading = _READINGS[stated.kind](**said)
    return reading
