"""Say what goes into a model and what comes out of it, as TensorFlow knows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frameferry.inference.card import FoundModel, mismatch
from frameferry.inference.checking import Shape
from frameferry.inference.network import SIGNATURE, loading, tensorflow


@dataclass(frozen=True, slots=True)
class Described:
    """A model's inputs and outputs: shapes by name, batch first; of several signatures one's."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape]
    signatures: tuple[str, ...] = ()


def described(found: FoundModel) -> Described:
    """
    Load a model and say what goes in and what comes out.

    Raises:
        ModelMismatch: TensorFlow cannot load it.
    """
    tf = tensorflow()
    with loading(tf, found):
        if found.kind == "saved_model":
            return _described_folder(tf, found)
        model = tf.keras.models.load_model(found.path, compile=False, safe_mode=True)
        names = getattr(model, "output_names", None) or []
        inputs = {one.name: list(one.shape) for one in getattr(model, "inputs", None) or []}
        outputs = getattr(model, "outputs", None) or []
        shapes = [list(one.shape) for one in outputs]
        return Described(inputs, dict(zip(names, shapes, strict=False)))


def _described_folder(tf: Any, found: FoundModel) -> Described:  # noqa: ANN401
    loaded = tf.saved_model.load(str(found.path))
    names = tuple(sorted(loaded.signatures))
    chosen = SIGNATURE if SIGNATURE in names else next(iter(names), None)
    if chosen is None:
        raise mismatch(found.path, "it has no signature", "Export it with model.export('folder')")
    signature = loaded.signatures[chosen]
    inputs = _shapes(signature.structured_input_signature[1])
    return Described(inputs, _shapes(signature.structured_outputs), names)


def _shapes(tensors: Mapping[str, Any]) -> dict[str, Shape]:
    return {
        name: tensor.shape.as_list() if tensor.shape.rank is not None else []
        for name, tensor in tensors.items()
    }
