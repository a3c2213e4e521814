"""What one output says of one picture, and how an output is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Tensors = Mapping[str, NDArray[np.floating[Any]]]
"""A model's outputs by name: (pictures, …)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an output says of a picture; `content` is what JSON shows of it, small."""

    label: str
    score: float | None = None
    value: float | None = None
    unit: str | None = None
    content: Any = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why one picture's numbers are not an answer."""

    why: str


class Reading(Protocol):
    """How one output is read."""

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """
        Say what of a model's outputs is not as the card states; None if they fit.

        Args:
            tensors: What the model made of noise.
            wanted: The output's name on the card, which may be a tensor's.
        """

    def findings(self, tensors: Tensors, wanted: str, /) -> Sequence[Finding | NoAnswer]:
        """Read the output of each picture, in order."""


def tensor_of(tensors: Tensors, tensor: str | None, wanted: str) -> str | None:
    """Name the tensor of an output: the stated one, that of its name, or the only one there is."""
    if tensor is not None:
        return tensor if tensor in tensors else None
    if wanted in tensors:
        return wanted
    return next(iter(tensors)) if len(tensors) == 1 else None


def missing(tensors: Tensors, tensor: str) -> str:
    """Say that a tensor is not there, and which are."""
    return f"the model has no output {tensor!r}, only {', '.join(sorted(tensors))}"


def as_columns(raw: NDArray[np.floating[Any]]) -> Floats:
    """Make a number a picture a row a picture."""
    rows = raw.astype(np.float64)
    return rows[:, None] if rows.ndim == 1 else rows


def shape_text(raw: NDArray[np.floating[Any]]) -> str:
    """Write what the model gives for a picture."""
    return " x ".join(map(str, raw.shape[1:])) or "1"
