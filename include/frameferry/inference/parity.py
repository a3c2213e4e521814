"""Hold what is fed and got here against what training fed and got, as the card keeps it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from frameferry.inference.card import CARD_NAME, FoundModel, Parity, Spec, mismatch
from frameferry.inference.preprocess import preprocess
from frameferry.inference.undecodable import Undecodable

Array = NDArray[Any]
INPUTS_TOLERANCE: Final = 1e-6
"""Of inputs: some roundings of float32, each 6e-8, where nothing but rounding may differ."""
OUTPUTS_TOLERANCE: Final = 1e-4
"""Of outputs: what another processor, thread count or GPU changes, and far below another resize."""


def refuse_other_inputs(found: FoundModel, spec: Spec) -> None:
    """
    Feed the card's pictures, without a model, and compare with what training fed.

    Raises:
        ModelMismatch: They differ by more than the tolerance, or a file cannot be read.
    """
    for one in found.card.parity:
        if one.inputs is not None:
            made = preprocess(_picture(found, one), spec)
            _refuse(found, one, made, "inputs", one.inputs, INPUTS_TOLERANCE)


def refuse_other_outputs(
    found: FoundModel, outputs: Callable[[bytes], Array | Undecodable]
) -> None:
    """
    Run a loaded model on the card's pictures, and compare with what training got.

    Raises:
        ModelMismatch: They differ by more than the tolerance, or a file cannot be read.
    """
    for one in found.card.parity:
        if one.outputs is not None:
            made = outputs(_picture(found, one))
            _refuse(found, one, made, "outputs", one.outputs, OUTPUTS_TOLERANCE)


def _refuse(
    found: FoundModel, one: Parity, made: Array | Undecodable, what: str, name: str, usual: float
) -> None:
    if isinstance(made, Undecodable):
        said = f"parity: {one.picture} cannot be judged: {made.reason}, {made.detail}"
        raise mismatch(found.path, said, f"Put another picture beside {CARD_NAME}")
    wanted = _array(found, name)
    if wanted.shape != made.shape:
        said = f"parity: {what} of {one.picture} are {made.shape}, and {wanted.shape} in {name}"
        raise mismatch(found.path, said, _remedy(what))
    tolerance = one.tolerance or usual
    if not np.allclose(made.astype(np.float64), wanted, tolerance, tolerance, equal_nan=False):
        off = np.abs(made.astype(np.float64) - wanted)
        said = (
            f"parity: {what} of {one.picture} are up to {np.nanmax(off):.3g} off those in {name}, "
            f"on average {np.nanmean(off):.3g}; allowed is {tolerance:g}"
        )
        raise mismatch(found.path, said, _remedy(what))


def _remedy(what: str) -> str:
    return (
        f"Preprocess as training did (region, channels, fit, interpolation, antialias, scale), or "
        f"write {what} anew by frameferry.inference.preprocess"
    )


def _folder(found: FoundModel) -> Path:
    return found.card_path.parent if found.card_path else found.path


def _picture(found: FoundModel, one: Parity) -> bytes:
    try:
        return (_folder(found) / one.picture).read_bytes()
    except OSError as error:
        what = f"a parity picture of the card cannot be read: {error}"
        raise mismatch(found.path, what, "Put the model's folder back whole") from error


def _array(found: FoundModel, name: str) -> NDArray[np.float64]:
    try:
        stored = np.load(_folder(found) / name, allow_pickle=False)
        return np.asarray(stored, np.float64)
    except (OSError, ValueError, EOFError, TypeError) as error:
        what = f"parity: {name} cannot be read: {error}"
        raise mismatch(found.path, what, "Write it with numpy.save") from error
