"""Classes: one share per label, of which the largest wins; or several labels at once."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

import numpy as np

from frameferry.inference.outputs.finding import (
    Finding,
    Floats,
    NoAnswer,
    Tensors,
    as_columns,
    missing,
    shape_text,
    tensor_of,
)
from frameferry.inference.outputs.stated import Of

SHARES_BYTES: Final = 300
"""The JSON text of shares is shorter than this, in UTF-8 bytes."""
_TOLERANCE: Final = 0.02
"""How far half-precision probabilities may stray from 0, 1 and their sum."""


@dataclass(frozen=True, slots=True)
class ClassesReading:
    """One label per picture: that of the largest share, or `unsure` below the threshold."""

    of: Of
    labels: tuple[str, ...]
    unsure: str | None
    threshold: float
    tensor: str | None = None

    @property
    def counts(self) -> set[int]:
        """
        How many numbers the output may have.

        One per label. With two labels and `sigmoid` or `logits`, a single one for `labels[1]` will
        do too.
        """
        shared = len(self.labels) == 1 + 1 and self.of in {"sigmoid", "logits"}
        return {len(self.labels), 1} if shared else {len(self.labels)}

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        name = tensor_of(tensors, self.tensor, wanted)
        if name is None:
            return missing(tensors, self.tensor or wanted)
        return count_misfit(tensors[name], self.counts, self.of, self.labels)

    def findings(self, tensors: Tensors, wanted: str, /) -> list[Finding | NoAnswer]:
        """Read one answer per picture; odd numbers of one picture are no fault of the others."""
        rows = as_columns(tensors[str(tensor_of(tensors, self.tensor, wanted))])
        flaws = [flaw_of(row, self.of) for row in rows]
        whole = np.array([flaw is None for flaw in flaws], dtype=bool)
        shares = self._shares(np.where(whole[:, None], rows, 0))
        return [
            self._finding(row) if flaw is None else NoAnswer(flaw)
            for row, flaw in zip(shares, flaws, strict=True)
        ]

    def _shares(self, raw: Floats) -> Floats:
        """Bring any output kind to one share in [0, 1] per label."""
        single = raw.shape[1] < len(self.labels)
        match self.of:
            case "logits" if single:
                shares = sigmoid(raw)
            case "logits":
                powers = np.exp(raw - raw.max(axis=1, keepdims=True))
                shares = powers / powers.sum(axis=1, keepdims=True)
            case "softmax" | "sigmoid":
                shares = np.clip(raw, 0, 1)
        return np.hstack([1 - shares, shares]) if single else shares

    def _finding(self, shares: Floats) -> Finding:
        best = int(shares.argmax())
        score = round(float(shares[best]), 6)
        label = self.labels[best]
        if score < self.threshold and self.unsure is not None:
            label = self.unsure
        return Finding(label, score, content=told_shares(shares, self.labels))


@dataclass(frozen=True, slots=True)
class MultiLabelReading:
    """All labels whose share reaches the threshold; the picture's own is the one with the most."""

    of: Of
    labels: tuple[str, ...]
    otherwise: str
    threshold: float
    tensor: str | None = None

    def misfit(self, tensors: Tensors, wanted: str, /) -> str | None:
        """Say what of the outputs is not as the card states."""
        name = tensor_of(tensors, self.tensor, wanted)
        if name is None:
            return missing(tensors, self.tensor or wanted)
        return count_misfit(tensors[name], {len(self.labels)}, self.of, self.labels)

    def findings(self, tensors: Tensors, wanted: str, /) -> list[Finding | NoAnswer]:
        """Read one answer per picture."""
        rows = as_columns(tensors[str(tensor_of(tensors, self.tensor, wanted))])
        flaws = [flaw_of(row, self.of) for row in rows]
        return [
            self._finding(sigmoid(row) if self.of == "logits" else np.clip(row, 0, 1))
            if flaw is None
            else NoAnswer(flaw)
            for row, flaw in zip(rows, flaws, strict=True)
        ]

    def _finding(self, shares: Floats) -> Finding:
        order = np.argsort(-shares, kind="stable")
        met = [self.labels[at] for at in order if shares[at] >= self.threshold]
        best = float(shares[order[0]])
        score = round(best if met else 1 - best, 6)
        content = {"labels": met, "shares": told_shares(shares, self.labels)}
        return Finding(met[0] if met else self.otherwise, score, content=content)


def count_misfit(raw: np.ndarray, counts: set[int], of: Of, labels: tuple[str, ...]) -> str | None:
    """Say how numbers of noise differ from one share per label; None if they do not."""
    rows = as_columns(raw)
    if rows.ndim != len(("pictures", "outputs")) or rows.shape[1] not in counts:
        stated = f"{' or '.join(map(str, sorted(counts)))} ({of}: {', '.join(labels[:8])})"
        return (
            f"the model gives {shape_text(raw)} outputs; its card or the pipeline's file says "
            f"{stated}"
        )
    finite = rows[np.isfinite(rows).all(axis=1)]
    unlike = next(filter(None, (flaw_of(row, of) for row in finite)), None)
    return unlike and f"not {of}: {unlike}"


def flaw_of(row: Floats, of: Of) -> str | None:
    """Say why a picture's numbers are none of their kind; None if they are."""
    if not np.isfinite(row).all():
        return "an output is NaN or infinite"
    if of == "logits":
        return None
    low, high, total = float(row.min()), float(row.max()), float(row.sum())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        return f"outputs lie between {low:.3g} and {high:.3g}, not between 0 and 1"
    if of == "softmax" and abs(total - 1) > _TOLERANCE:
        return f"outputs add up to {total:.3g}, not to 1"
    return None


def sigmoid(raw: Floats) -> Floats:
    """Bring logits to shares in [0, 1]."""
    shares: Floats = 1 / (1 + np.exp(-np.clip(raw, -500, 500)))
    return shares


def told_shares(shares: Floats, labels: tuple[str, ...]) -> dict[str, float]:
    """Map label to share; if that is too long, only the largest shares, largest first."""
    rounded = {label: round(float(share), 4) for label, share in zip(labels, shares, strict=True)}
    if _bytes_of(rounded) < SHARES_BYTES:
        return rounded
    kept: dict[str, float] = {}
    for label in sorted(rounded, key=rounded.__getitem__, reverse=True):
        longer = {**kept, label: rounded[label]}
        if _bytes_of(longer) >= SHARES_BYTES:
            break
        kept = longer
    return kept


def _bytes_of(content: dict[str, float]) -> int:
    return len(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())
