"""Check a model's files against its card without loading it: no TensorFlow."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path

from frameferry.config.settings import ModelSettings
from frameferry.inference.card import FoundModel, Spec, effective, find_model, mismatch
from frameferry.inference.digest import judge_digest

Shape = Sequence[int | None]


def check_model(settings: ModelSettings) -> None:
    """
    Check what can be checked without TensorFlow: card, digest, files, input; a class of yours.

    Raises:
        ModelMismatch: Says what does not fit, and what to do.
    """
    judge_digest(settings)
    if settings.judge is not None:
        return
    found = find_model(settings.name)
    if found.card.control or found.card.parity:
        # Decoders are for those who have something to decode.
        from frameferry.inference.control import refuse_unfit_controls  # noqa: PLC0415
        from frameferry.inference.parity import refuse_other_inputs  # noqa: PLC0415

        refuse_unfit_controls(found, effective(found, settings))
        refuse_other_inputs(found, effective(found, settings))
    if found.kind == "keras":
        shape = _keras_input(found.path)
        if shape is not None:
            refuse_shape(found, effective(found, settings), shape)


def has_outputs(settings: ModelSettings) -> bool:
    """Say whether the card keeps outputs of the model's training, to be compared by running it."""
    if settings.judge is not None:
        return False
    return any(one.outputs is not None for one in find_model(settings.name).card.parity)


def refuse_shape(found: FoundModel, spec: Spec, shape: Shape) -> None:
    """
    Compare a model's input shape, batch first, with the card's; None fits everything.

    Raises:
        ModelMismatch: They differ.
    """
    expected = spec.input_shape
    got = tuple(shape[1:])
    fits = len(got) == len(expected) and all(
        theirs in {None, ours} for ours, theirs in zip(expected, got, strict=True)
    )
    if not fits:
        what = (
            f"the model takes {readable(got)}; its card or the pipeline's file says "
            f"{readable(expected)} ({_meaning(spec)})"
        )
        remedy = (
            "Correct input: in card.yaml or model.input_height_pixels and model.input_width_pixels"
        )
        if spec.steps is not None:
            remedy += ", or preprocessing.channels and preprocessing.order"
        raise mismatch(found.path, what, remedy)


def _meaning(spec: Spec) -> str:
    if (steps := spec.steps) is None:
        return "height x width x RGB"
    is_first = steps.order == "channels_first"
    return "channels x height x width" if is_first else "height x width x channels"


def readable(shape: Shape) -> str:
    """Write a shape as a person reads it; None is any size."""
    return " x ".join("any" if size is None else str(size) for size in shape) or "0"


def _keras_input(path: Path) -> list[int | None] | None:
    """
    Read the input shape, batch first, from a `.keras` file; None if it does not say.

    Raises:
        ModelMismatch: It is not such a file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read("config.json"))["config"]
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError) as error:
        what = f"it is no .keras file: {error}"
        raise mismatch(path, what, "Save the model with model.save('model.keras')") from error
    layers = config.get("layers", []) if isinstance(config, dict) else []
    shapes = [
        layer["config"].get("batch_shape")
        for layer in layers
        if isinstance(layer, dict) and layer.get("class_name") == "InputLayer"
    ]
    return shapes[0] if len(shapes) == 1 else None
