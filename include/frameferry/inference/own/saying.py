"""Read what a judge of yours said: take it over, or say what is wrong with it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

from frameferry.inference.card import LABEL
from frameferry.inference.own.words import Unjudged, Verdict

OUTPUTS_BYTES: Final = 16 * 1024
"""The JSON text of `outputs` is shorter: each row passes Spark's driver."""
_UNIT_CHARACTERS: Final = 20


def flaw_of(said: object, pictures: int) -> str | None:
    """Say what is wrong with the answer to so many pictures; None if it is one verdict each."""
    if isinstance(said, str | bytes) or not isinstance(said, Sequence):
        return f"said {_kind(said)}; expected a list of one Verdict or Unjudged a picture"
    if len(said) != pictures:
        return f"said {len(said)} verdicts of {pictures} pictures"
    flaws = ((number, _flaw(each)) for number, each in enumerate(said, start=1))
    return next((f"of picture {n} of {pictures} it {flaw}" for n, flaw in flaws if flaw), None)


def outputs_text(outputs: Mapping[str, Any] | None) -> str | None:
    """
    Write `outputs` as JSON.

    Raises:
        ValueError, TypeError, RecursionError: JSON cannot hold it.
    """
    if outputs is None:
        return None
    return json.dumps(outputs, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _flaw(said: object) -> str | None:
    match said:
        case Unjudged(why=str()):
            return None
        case Verdict():
            checks = (_label_flaw, _score_flaw, _value_flaw, _outputs_flaw)
            return next(filter(None, (check(said) for check in checks)), None)
        case _:
            return f"said {_kind(said)}; expected Verdict or Unjudged"


def _label_flaw(said: Verdict) -> str | None:
    if isinstance(said.label, str) and LABEL.fullmatch(said.label):
        return None
    return (
        f"has the label {_shown(said.label)}; expected text of 1 to 60 characters, none of them a "
        "control character"
    )


def _score_flaw(said: Verdict) -> str | None:
    if said.score is None or (_is_number(said.score) and 0 <= said.score <= 1):
        return None
    return f"has the score {_shown(said.score)}; expected a number from 0 to 1, or None"


def _value_flaw(said: Verdict) -> str | None:
    if said.value is not None and not _is_number(said.value):
        return f"has the value {_shown(said.value)}; expected a finite number, or None"
    if said.unit is None:
        return None
    if said.value is None or not isinstance(said.unit, str) or not said.unit.isprintable():
        return f"has the unit {_shown(said.unit)} of the value {_shown(said.value)}"
    return None if 0 < len(said.unit) <= _UNIT_CHARACTERS else f"has the unit {_shown(said.unit)}"


def _outputs_flaw(said: Verdict) -> str | None:
    if said.outputs is not None and not isinstance(said.outputs, Mapping):
        return f"has outputs that are {_kind(said.outputs)}; expected a mapping, or None"
    try:
        size = len((outputs_text(said.outputs) or "").encode())
    except (ValueError, TypeError, RecursionError) as error:
        return f"has outputs that JSON cannot hold: {error}"
    if size < OUTPUTS_BYTES:
        return None
    return f"has outputs of {size:,} bytes of JSON; expected less than {OUTPUTS_BYTES:,}"


def _is_number(value: object) -> bool:
    """Say whether it is a finite number: NumPy's floats of 64 bits are Python's, too."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)  # type: ignore[arg-type]


def _kind(value: object) -> str:
    return f"something of type {type(value).__name__}"


def _shown(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - anybody's class
        text = "of no text"
    return f"{text[:80]} ({type(value).__name__})"
