"""Numbers: a measure with its unit and limits, a score of how odd a picture is, an embedding."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from frameferry.inference.outputs.finding import (
    Finding,
    NoAnswer,
    Tensors,
    as_columns,
    missing,
    shape_text,
    tensor_of,
)

SEEN: Final = "input as the model sees it"
"""The name under which the model's own input stands among its outputs; no tensor has spaces."""
EMBEDDING_BYTES: Final = 12 * 1024
"""The text of an embedding is shorter: each row passes Spark's driver."""


@dataclass(frozen=True, slots=True)
class NumberReading:
    """A measure: within its limits, or below, or above them."""

    unit: str
    lowest: float | None
    highest: float | None
    within: str
    below: str
    above: str
    tensor: str | None = None

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        name = tensor_of(tensors, self.tensor, wanted)
        if name is None:
            return missing(tensors, self.tensor or wanted)
        return one_number_misfit(tensors[name])

    def findings(self, tensors: Tensors, wanted: str, /) -> list[Finding | NoAnswer]:
        """Read one number per picture."""
        rows = as_columns(tensors[str(tensor_of(tensors, self.tensor, wanted))])
        return [self._finding(float(row[0])) for row in rows]

    def _finding(self, number: float) -> Finding | NoAnswer:
        if not np.isfinite(number):
            return NoAnswer("the number is NaN or infinite")
        value = _rounded(number)
        label = self.within
        if self.lowest is not None and value < self.lowest:
            label = self.below
        if self.highest is not None and value > self.highest:
            label = self.above
        content = {"value": value, **({"unit": self.unit} if self.unit else {}), "label": label}
        return Finding(label, value=value, unit=self.unit or None, content=content)


@dataclass(frozen=True, slots=True)
class AnomalyReading:
    """How odd a picture is: a score of the model's, or how far its picture is from what it saw."""

    of: Literal["score", "reconstruction"]
    threshold: float
    normal: str
    anomaly: str
    tensor: str | None = None

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        outputs = {name: raw for name, raw in tensors.items() if name != SEEN}
        name = tensor_of(outputs, self.tensor, wanted)
        if name is None:
            return missing(outputs, self.tensor or wanted)
        if self.of == "score":
            return one_number_misfit(tensors[name])
        if tensors[name].shape != tensors[SEEN].shape:
            return (
                f"the model gives {shape_text(tensors[name])}, which is no reconstruction of "
                f"{shape_text(tensors[SEEN])}"
            )
        return None

    def findings(self, tensors: Tensors, wanted: str, /) -> list[Finding | NoAnswer]:
        """Read one score per picture: the mean square of what is off, for a reconstruction."""
        outputs = {name: raw for name, raw in tensors.items() if name != SEEN}
        raw = tensors[str(tensor_of(outputs, self.tensor, wanted))].astype(np.float64)
        if self.of == "reconstruction":
            raw = ((raw - tensors[SEEN]) ** 2).mean(axis=tuple(range(1, raw.ndim)))
        return [self._finding(float(row[0])) for row in as_columns(raw)]

    def _finding(self, number: float) -> Finding | NoAnswer:
        if not np.isfinite(number):
            return NoAnswer("the anomaly score is NaN or infinite")
        value = _rounded(number)
        label = self.anomaly if value >= self.threshold else self.normal
        content = {"anomaly": value, "threshold": self.threshold, "label": label}
        return Finding(label, value=value, content=content)


@dataclass(frozen=True, slots=True)
class EmbeddingReading:
    """A vector per picture, kept whole: little-endian numbers in base64."""

    numbers: Literal["float32", "float16"]
    label: str
    tensor: str | None = None

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        name = tensor_of(tensors, self.tensor, wanted)
        if name is None:
            return missing(tensors, self.tensor or wanted)
        if tensors[name].ndim != len(("pictures", "numbers")):
            return (
                f"the model gives {shape_text(tensors[name])}; an embedding is one row of numbers"
            )
        size = len(_base64(self._kept(tensors[name][0])))
        if size >= EMBEDDING_BYTES:
            return (
                f"an embedding of {tensors[name].shape[1]:,} {self.numbers} takes {size:,} bytes; "
                f"fewer than {EMBEDDING_BYTES:,} fit beside a picture"
            )
        return None

    def findings(self, tensors: Tensors, wanted: str, /) -> list[Finding | NoAnswer]:
        """Read one vector per picture."""
        rows = tensors[str(tensor_of(tensors, self.tensor, wanted))]
        return [self._finding(row) for row in rows]

    def _finding(self, row: np.ndarray) -> Finding | NoAnswer:
        kept = self._kept(row)
        if not np.isfinite(kept).all():
            return NoAnswer(f"a number of the embedding is NaN, infinite or no {self.numbers}")
        content = {"numbers": self.numbers, "size": len(row), "base64": _base64(kept)}
        return Finding(self.label, content=content)

    def _kept(self, row: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore"):
            return row.astype({"float32": "<f4", "float16": "<f2"}[self.numbers])


def one_number_misfit(raw: np.ndarray) -> str | None:
    """Say how an output differs from one number per picture; None if it does not."""
    rows = as_columns(raw)
    if rows.ndim == len(("pictures", "numbers")) and rows.shape[1] == 1:
        return None
    return f"the model gives {shape_text(raw)} numbers for a picture; expected one"


def _base64(row: np.ndarray) -> str:
    return base64.b64encode(row.tobytes()).decode()


def _rounded(number: float) -> float:
    """Keep seven digits, as many as the model's own numbers have."""
    return float(f"{number:.7g}")
