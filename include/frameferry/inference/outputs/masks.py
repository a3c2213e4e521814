"""Masks: which part of the picture is of which class, and the picture of that."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from PIL import Image

from frameferry.inference.outputs.classes import sigmoid, told_shares
from frameferry.inference.outputs.finding import (
    Finding,
    NoAnswer,
    Tensors,
    missing,
    shape_text,
    tensor_of,
)

MASK_BYTES: Final = 8 * 1024
"""The base64 text of a mask is shorter: each row passes Spark's driver."""
_FLAT: Final = 3
_DEEP: Final = 4
_HALF: Final = 0.5


@dataclass(frozen=True, slots=True)
class MaskReading:
    """
    The share of the area of each class. The first label is the background's.

    The picture's label is that of the largest other class of at least `least_area`, a share of the
    picture; without one it is the background's.
    """

    of: Literal["softmax", "logits", "sigmoid", "classes"]
    labels: tuple[str, ...]
    least_area: float
    png: bool
    tensor: str | None = None

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        name = tensor_of(tensors, self.tensor, wanted)
        if name is None:
            return missing(tensors, self.tensor or wanted)
        raw = tensors[name]
        channels = raw.shape[3] if raw.ndim == _DEEP else 1
        is_one = channels == 1 and (self.of == "classes" or len(self.labels) == 1 + 1)
        if raw.ndim in {_FLAT, _DEEP} and (is_one or channels == len(self.labels) > 1):
            return None
        return (
            f"the model gives {shape_text(raw)}; a mask of {len(self.labels)} labels ({self.of}) "
            f"is height x width x {1 if self.of == 'classes' else len(self.labels)}"
        )

    def findings(self, tensors: Tensors, wanted: str, /) -> list[Finding | NoAnswer]:
        """Read one mask per picture."""
        raw = tensors[str(tensor_of(tensors, self.tensor, wanted))]
        return [self._finding(one if one.ndim == _FLAT else one[..., None]) for one in raw]

    def _finding(self, raw: np.ndarray) -> Finding | NoAnswer:
        if not np.isfinite(raw).all():
            return NoAnswer("a number of the mask is NaN or infinite")
        classes = self._classes(raw)
        if classes.min() < 0 or classes.max() >= len(self.labels):
            odd = classes.min() if classes.min() < 0 else classes.max()
            return NoAnswer(f"class {int(odd)} of the mask has no label")
        areas = np.bincount(classes.ravel(), minlength=len(self.labels)) / classes.size
        best = 1 + int(areas[1:].argmax())
        if areas[best] < self.least_area or not areas[best]:
            best = 0
        covered = round(1 - float(areas[0]), 6)
        content = {"areas": told_shares(areas, self.labels), **self._picture(classes)}
        return Finding(self.labels[best], value=covered, unit="of the area", content=content)

    def _classes(self, raw: np.ndarray) -> np.ndarray:
        """Choose a class for each pixel: (height, width), whole numbers."""
        if self.of == "classes":
            return np.asarray(np.rint(raw[..., 0]), np.int64)
        if raw.shape[2] == 1:
            shares = sigmoid(raw.astype(np.float64)) if self.of == "logits" else raw
            return np.asarray(shares[..., 0] >= _HALF, np.int64)
        return np.asarray(raw.argmax(axis=2))

    def _picture(self, classes: np.ndarray) -> dict[str, Any]:
        if not self.png:
            return {}
        target = io.BytesIO()
        Image.fromarray(classes.astype(np.uint8)).save(target, "PNG", optimize=True)
        text = base64.b64encode(target.getvalue()).decode()
        if len(text) >= MASK_BYTES:
            return {"mask_left_out": f"{len(text)} bytes, fewer than {MASK_BYTES} fit"}
        return {"mask": text}
