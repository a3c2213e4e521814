"""Read a model's raw outputs: the label, its score, and the whole answer as short JSON text."""

from __future__ import annotations

import json
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.card import Spec

Floats = NDArray[np.float64]

OUTPUTS_BYTES: Final = 300
"""A row of predictions stays small: the JSON text is shorter than this, in UTF-8 bytes."""
_TOLERANCE: Final = 0.02
"""How far half-precision probabilities may stray from 0, 1 and their sum."""


class Answer(NamedTuple):
    """One picture's answer; `score` is in [0, 1]."""

    label: str
    score: float
    outputs: str


class NoAnswer(NamedTuple):
    """Why one picture's numbers are not an answer."""

    why: str


def output_counts(spec: Spec) -> set[int]:
    """
    Say how many outputs the model may have.

    One per label. With two labels and the output `sigmoid` or `logits`, a single one for
    `labels[1]` will do too.
    """
    shared = len(spec.labels) == 1 + 1 and spec.output in {"sigmoid", "logits"}
    return {len(spec.labels), 1} if shared else {len(spec.labels)}


def answers(raw: NDArray[np.floating], spec: Spec) -> list[Answer | NoAnswer]:
    """
    Read the outputs of a stack of pictures.

    One picture's numbers can be odd although the model is right for all others. Then only this
    picture has no answer.

    Args:
        raw: (pictures, outputs), as many outputs as `output_counts` allows.
        spec: What the numbers are, and the labels in their order.

    Returns:
        One answer per picture, in order, or why there is none.
    """
    rows = raw.astype(np.float64)
    flaws = [_flaw(row, spec) for row in rows]
    whole = np.array([flaw is None for flaw in flaws], dtype=bool)
    shares = _probabilities(np.where(whole[:, None], rows, 0), spec)
    return [
        _answer(row, spec) if flaw is None else NoAnswer(flaw)
        for row, flaw in zip(shares, flaws, strict=True)
    ]


def unlike_output(raw: NDArray[np.floating], spec: Spec) -> str | None:
    """Say how the numbers differ from the output kind that the card states; None if they fit."""
    finite = raw[np.isfinite(raw).all(axis=1)].astype(np.float64)
    return next(filter(None, (_flaw(row, spec) for row in finite)), None)


def _flaw(row: Floats, spec: Spec) -> str | None:
    if not np.isfinite(row).all():
        return "an output is NaN or infinite"
    if spec.output == "logits":
        return None
    low, high, total = float(row.min()), float(row.max()), float(row.sum())
    if low < -_TOLERANCE or high > 1 + _TOLERANCE:
        return f"outputs lie between {low:.3g} and {high:.3g}, not between 0 and 1"
    if spec.output == "softmax" and abs(total - 1) > _TOLERANCE:
        return f"outputs add up to {total:.3g}, not to 1"
    return None


def _probabilities(raw: Floats, spec: Spec) -> Floats:
    """Bring any output kind to one share in [0, 1] per label."""
    single = raw.shape[1] < len(spec.labels)
    match spec.output:
        case "logits" if single:
            shares = 1 / (1 + np.exp(-np.clip(raw, -500, 500)))
        case "logits":
            powers = np.exp(raw - raw.max(axis=1, keepdims=True))
            shares = powers / powers.sum(axis=1, keepdims=True)
        case "softmax" | "sigmoid":
            shares = np.clip(raw, 0, 1)
    return np.hstack([1 - shares, shares]) if single else shares


def _answer(shares: Floats, spec: Spec) -> Answer:
    best = int(shares.argmax())
    score = round(float(shares[best]), 6)
    label = spec.labels[best]
    if score < spec.threshold and spec.unsure is not None:
        label = spec.unsure
    return Answer(label, score, _as_json(shares, spec.labels))


def _as_json(shares: Floats, labels: tuple[str, ...]) -> str:
    """Write label → share; if that is too long, only the largest shares, largest first."""
    rounded = {label: round(float(share), 4) for label, share in zip(labels, shares, strict=True)}
    text = _compact(rounded)
    if len(text.encode()) < OUTPUTS_BYTES:
        return text
    kept: dict[str, float] = {}
    for label in sorted(rounded, key=rounded.__getitem__, reverse=True):
        longer = _compact({**kept, label: rounded[label]})
        if len(longer.encode()) >= OUTPUTS_BYTES:
            break
        kept[label], text = rounded[label], longer
    return text


def _compact(content: dict[str, float]) -> str:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
