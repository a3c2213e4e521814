"""Draft a model's card from what TensorFlow knows of it: shapes and names; people know the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from frameferry.inference.card import find_model
from frameferry.inference.checking import readable
from frameferry.inference.describing import Described, described

_FILL = "FILL-IN"
_PICTURE_AXES = 4
_ROW_AXES = 2


def draft(path: str) -> str:
    """
    Write the card as YAML. What is to be filled in is not valid before it is.

    Raises:
        ModelMismatch: There is no such model, or TensorFlow cannot load it.
    """
    found = find_model(path)
    model = described(found)
    lines = [
        f"# A draft for {found.path.name}: {_FILL} stands where only people know.",
        f"name: {found.path.stem}",
        *_input_lines(model),
        f"preprocessing: {_FILL}  # unit (0 to 1), signed (-1 to 1) or raw (0 to 255)",
        *_output_lines(model.outputs),
    ]
    if len(model.signatures) > 1:
        lines.append(f"# signature: one of {', '.join(model.signatures)}")
    lines.append("# control: pictures beside this card, each with the label that it must be given")
    return "\n".join(lines) + "\n"


def _input_lines(model: Described) -> list[str]:
    ((name, shape),) = [*model.inputs.items()][:1] or [("", ())]
    sizes = shape[1:3] if len(shape) == _PICTURE_AXES else (None, None)
    height, width = (_FILL if size is None else size for size in sizes)
    lines = [
        f"input:  # {name}: {readable(shape[1:])}",
        f"  height_pixels: {height}",
        f"  width_pixels: {width}",
    ]
    if len(model.inputs) != 1:
        others = ", ".join(model.inputs)
        lines.insert(0, f"# It takes {len(model.inputs)} inputs ({others}); one image is expected.")
    return lines


def _output_lines(outputs: Mapping[str, Sequence[int | None]]) -> list[str]:
    if len(outputs) == 1:
        ((name, shape),) = outputs.items()
        if len(shape) == _ROW_AXES and shape[1]:
            count = max(shape[1], 2)
            labels = ", ".join(f"label-{number}" for number in range(count))
            return [
                f"labels: [{labels}]  # in the order of the output {name}",
                f"output: {_FILL}  # softmax, logits or sigmoid; other kinds: see outputs",
            ]
    lines = ["outputs:  # their kinds and keys: docs/configuration.md, Other outputs"]
    for name, shape in outputs.items():
        lines.append(f"  {name}:  # {readable(shape[1:])}")
        lines.append(f"    kind: {_FILL}")
    return lines
