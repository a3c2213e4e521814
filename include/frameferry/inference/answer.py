"""Read a model's raw outputs: what a row says, and the whole answer as short JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from frameferry.inference.card import Spec
from frameferry.inference.outputs.classes import ClassesReading
from frameferry.inference.outputs.finding import Finding, NoAnswer, Reading, Tensors
from frameferry.inference.outputs.readings import reading_of

OUTPUTS_BYTES: Final = 16 * 1024
"""A row passes Spark's driver: the JSON text of several outputs is shorter than this, in bytes."""


class Answer(NamedTuple):
    """One picture's answer; `score` is in [0, 1], None where the output has none."""

    label: str
    score: float | None
    outputs: str
    value: float | None = None
    unit: str | None = None


def readings_of(spec: Spec) -> Mapping[str, Reading]:
    """List how each output is read, by its name; a single one that has no name has an empty one."""
    if not spec.outputs:
        return {"": ClassesReading(spec.output, spec.labels, spec.unsure, spec.threshold)}
    return {
        name: reading_of(
            stated,
            threshold=spec.threshold,
            height_pixels=spec.height_pixels,
            width_pixels=spec.width_pixels,
        )
        for name, stated in spec.outputs
    }


def answers(tensors: Tensors, spec: Spec) -> list[Answer | NoAnswer]:
    """
    Read the outputs of a stack of pictures.

    One picture's numbers can be odd although the model is right for all others. Then only this
    picture has no answer.

    Args:
        tensors: Each (pictures, …), as `misfit` found them right.
        spec: What the numbers are.

    Returns:
        One answer per picture, in order, or why there is none.
    """
    found = {name: reading.findings(tensors, name) for name, reading in readings_of(spec).items()}
    pictures = zip(*found.values(), strict=True)
    return [_answer(dict(zip(found, each, strict=True)), spec) for each in pictures]


def misfit(tensors: Tensors, spec: Spec) -> str | None:
    """Say how a model's outputs for noise differ from what is stated of them; None if they fit."""
    for name, reading in readings_of(spec).items():
        if flaw := reading.misfit(tensors, name):
            return f"outputs.{name}: {flaw}" if name else flaw
    return None


def _answer(found: Mapping[str, Finding | NoAnswer], spec: Spec) -> Answer | NoAnswer:
    whole = {name: each for name, each in found.items() if isinstance(each, Finding)}
    for name, each in found.items():
        if isinstance(each, NoAnswer):
            return NoAnswer(f"{name}: {each.why}" if name else each.why)
    first = whole[spec.verdict]
    measured = _measured([first, *whole.values()])
    content = {name: each.content for name, each in whole.items()}
    text = _compact(content if spec.outputs else first.content)
    if len(text.encode()) >= OUTPUTS_BYTES:
        why = (
            f"its outputs take {len(text.encode()):,} bytes as JSON; {OUTPUTS_BYTES:,} are allowed"
        )
        return NoAnswer(why)
    return Answer(first.label, first.score, text, measured.value, measured.unit)


def _measured(found: Sequence[Finding]) -> Finding:
    """Choose the finding whose number the row shows: the verdict's, or the first that has one."""
    return next((each for each in found if each.value is not None), found[0])


def _compact(content: Any) -> str:  # noqa: ANN401 - a JSON value
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))
