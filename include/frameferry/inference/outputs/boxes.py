"""Boxes: what detectors find, in the forms of TensorFlow's Object Detection and of Keras."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.outputs.finding import Finding, Floats, NoAnswer, Tensors
from frameferry.inference.outputs.stated import Coordinates, Form

BOXES_BYTES: Final = 8 * 1024
"""The JSON text of a picture's boxes is shorter: each row passes Spark's driver."""
NAMES: Final[Mapping[Form, Mapping[str, tuple[str, ...]]]] = {
    "tensorflow": {
        "boxes": ("detection_boxes",),
        "classes": ("detection_classes",),
        "scores": ("detection_scores",),
        "count": ("num_detections",),
    },
    "keras": {
        "boxes": ("boxes",),
        "classes": ("classes", "labels"),
        "scores": ("confidence",),
        "count": ("num_detections",),
    },
}
"""
What the tensors of each form are called.

Source: the exporter of TensorFlow's Object Detection API; `NonMaxSuppression` of KerasCV and
KerasHub.
"""
_NEEDED: Final = ("boxes", "classes", "scores")
_CORNERS: Final = 4
_TOLERANCE: Final = 0.02
"""How far half-precision scores may stray from 0 and 1."""


@dataclass(frozen=True, slots=True)
class BoxesReading:
    """
    All boxes that reach the threshold; the picture's label is that of one of them, by `rule`.

    Args:
        first_class: The number of `labels[0]` among the classes.
        height_pixels: Of the model's input; with the width for coordinates in pixels.
        rule: `highest`: the box with the highest score; `first`: the first of the labels that has
            a box.
    """

    form: Form
    labels: tuple[str, ...]
    otherwise: str
    threshold: float
    rule: Literal["highest", "first"]
    first_class: int
    coordinates: Coordinates
    height_pixels: int
    width_pixels: int

    def misfit(self, tensors: Tensors, _wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        for role in _NEEDED:
            if self._name(tensors, role) is None:
                wanted_names = " or ".join(NAMES[self.form][role])
                return (
                    f"boxes of the form {self.form} need an output {wanted_names}; the model has "
                    f"{', '.join(sorted(tensors))}"
                )
        boxes, classes, scores = (tensors[str(self._name(tensors, role))] for role in _NEEDED)
        if boxes.shape != (*scores.shape, _CORNERS) or classes.shape != scores.shape:
            shapes = ", ".join(str(one.shape[1:]) for one in (boxes, classes, scores))
            return f"boxes, classes and scores have the shapes {shapes}; expected n x 4, n and n"
        return None

    def findings(self, tensors: Tensors, _wanted: str, /) -> list[Finding | NoAnswer]:
        """Read each picture's boxes; what is behind the count, or of negative class, is none."""
        boxes, classes, scores = (
            tensors[str(self._name(tensors, role))].astype(np.float64) for role in _NEEDED
        )
        ends = self._ends(tensors, scores)
        return [
            self._finding(boxes[at][:end], classes[at][:end], scores[at][:end])
            for at, end in enumerate(ends)
        ]

    def _ends(self, tensors: Tensors, scores: Floats) -> NDArray[np.int64]:
        """Say behind which box of each picture there is only padding."""
        count = self._name(tensors, "count")
        if count is None:
            return np.full(len(scores), scores.shape[1])
        told = np.nan_to_num(tensors[count].reshape(len(scores)))
        return np.asarray(told.clip(0, scores.shape[1]), np.int64)

    def _name(self, tensors: Tensors, role: str) -> str | None:
        return next((name for name in NAMES[self.form][role] if name in tensors), None)

    def _finding(self, boxes: Floats, classes: Floats, scores: Floats) -> Finding | NoAnswer:
        real = classes >= min(self.first_class, 0)
        boxes, classes, scores = boxes[real], classes[real], scores[real]
        if flaw := self._flaw(boxes, classes, scores):
            return NoAnswer(flaw)
        order = [at for at in np.argsort(-scores, kind="stable") if scores[at] >= self.threshold]
        corners = self._corners(boxes)
        found = [
            {
                "label": self.labels[int(classes[at]) - self.first_class],
                "score": round(min(float(scores[at]), 1.0), 4),
                "box": [round(float(one), 4) for one in corners[at]],
            }
            for at in order
        ]
        return self._labelled(found, float(scores.max(initial=0.0)))

    def _labelled(self, found: list[dict[str, Any]], most: float) -> Finding:
        content = _told(found)
        if not found:
            return Finding(self.otherwise, round(min(max(1 - most, 0), 1), 6), content=content)
        chosen = found[0]
        if self.rule == "first":
            chosen = min(found, key=lambda one: self.labels.index(one["label"]))
        return Finding(chosen["label"], chosen["score"], content=content)

    def _flaw(self, boxes: Floats, classes: Floats, scores: Floats) -> str | None:
        if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
            return "a box or its score is NaN or infinite"
        if len(scores) and not (scores.min() >= -_TOLERANCE and scores.max() <= 1 + _TOLERANCE):
            return f"scores lie between {scores.min():.3g} and {scores.max():.3g}"
        last = self.first_class + len(self.labels) - 1
        odd = [int(one) for one in classes if not self.first_class <= one <= last]
        if odd:
            return f"class {odd[0]} has no label: they are of {self.first_class} to {last}"
        return None

    def _corners(self, boxes: Floats) -> Floats:
        """Bring boxes to left, top, right and bottom, as shares of what the model sees."""
        order = {"yxyx": [1, 0, 3, 2]}.get(self.coordinates.removeprefix("rel_"), [0, 1, 2, 3])
        made = boxes[:, order]
        if self.coordinates == "center_xywh":
            made = np.hstack([made[:, :2] - made[:, 2:] / 2, made[:, :2] + made[:, 2:] / 2])
        elif self.coordinates.endswith("xywh"):
            made = np.hstack([made[:, :2], made[:, :2] + made[:, 2:]])
        if not self.coordinates.startswith("rel_"):
            made = made / np.array([self.width_pixels, self.height_pixels] * 2)
        shares: Floats = np.clip(made, 0, 1)
        return shares


def _told(found: list[dict[str, Any]]) -> dict[str, Any]:
    """List the boxes, highest first, as many as fit; say how many do not."""
    kept, size = [], 0
    for one in found:
        size += len(json.dumps(one, ensure_ascii=False, separators=(",", ":")).encode()) + 1
        if size >= BOXES_BYTES:
            break
        kept.append(one)
    left_out = len(found) - len(kept)
    return {"boxes": kept, **({"left_out": left_out} if left_out else {})}
