"""
Train the demo's model on made-up surfaces: `make model`.

The model learns from pictures that went through JPEG or PNG and `decode`, as in service. The judge
itself tests it on pictures of a fresh seed. It replaces another model only if it is not worse on
the same pictures.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml
from numpy.typing import NDArray

from frameferry.config.settings import ModelSettings
from frameferry.demo.surfaces import LABELS, Label, encode, picture, samples
from frameferry.errors import FrameferryError
from frameferry.inference.card import (
    CARD_NAME,
    Card,
    Control,
    FoundModel,
    InputSize,
    Spec,
    mismatch,
)
from frameferry.inference.decode import Pixels, decode
from frameferry.inference.digest import content_digest
from frameferry.inference.judge import read_judge
from frameferry.inference.undecodable import Undecodable

MODEL_NAME: Final = "model.keras"
_BATCH: Final = 32
_STEM_FILTERS: Final = 12
_FILTERS: Final = (24, 32, 48, 64)
_LEARNING_RATE: Final = 4e-3
_CONTROL_SIZE: Final = (160, 120)
_DATA: Final = (
    "Made by frameferry.demo.surfaces: brushed, painted and cast surfaces under uneven light "
    "with camera noise; a scratch, a hole, a stain or none; JPEG and PNG. No photographs, no "
    "people, nothing from a plant. Good for demonstrating and testing Frameferry, not for "
    "inspecting anything."
)
_HEAD: Final = "# The demo model's card, written by `make model`; keys: docs/configuration.md\n"


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train: everything random follows from `seed`; `least_accuracy` is demanded."""

    seed: int = 1
    fresh_seed: int = 2
    pictures: int = 2000
    tested: int = 800
    epochs: int = 12
    input_pixels: int = 96
    least_accuracy: float = 0.95

    @property
    def spec(self) -> Spec:
        """Decode as the card will say."""
        side = self.input_pixels
        return Spec(side, side, "unit", LABELS, "softmax", None, 0.5, 10**8, 50 * 2**20)


@dataclass(frozen=True, slots=True)
class Tested:
    """How a model did: `accuracy` over all, `recall` per label, both 0 to 1."""

    accuracy: float
    recall: dict[Label, float]


def train(folder: Path, recipe: Recipe, tell: Callable[[str], None]) -> Tested:
    """
    Train a model and put it, with its card and control pictures, into *folder*.

    Args:
        folder: Where the model lives; what lies there stays if the new model is worse.
        recipe: How to train.
        tell: Called with one line at each step.

    Raises:
        ModelMismatch: The new model is worse than the one in *folder*, or not good enough.
    """
    tell(f"making {recipe.pictures} pictures")
    pixels, answers = _stack(samples(recipe.seed, recipe.pictures), recipe)
    network = _fitted(pixels, answers, recipe, tell)
    tell(f"testing on {recipe.tested} fresh pictures")
    fresh = list(samples(recipe.fresh_seed, recipe.tested))
    with tempfile.TemporaryDirectory(prefix="frameferry-training-") as scratch:
        made = Path(scratch)
        network.save(made / MODEL_NAME)
        _write_controls(made, recipe.seed)
        _write_card(made, recipe, None)
        tested = measure(made, fresh)
        _write_card(made, recipe, tested)
        _refuse_worse(folder, fresh, tested, recipe)
        _install(made, folder)
    return tested


def measure(path: Path, pictures: Sequence[tuple[Label, bytes]]) -> Tested:
    """
    Measure how well the judge labels pictures with known answers.

    Raises:
        ModelMismatch: The model does not fit its card.
    """
    verdicts = read_judge(ModelSettings(path=str(path))).judge([value for _, value in pictures])
    right: dict[Label, list[bool]] = {label: [] for label in LABELS}
    for (label, _), verdict in zip(pictures, verdicts, strict=True):
        right[label].append(verdict.label == label)
    every = [hit for hits in right.values() for hit in hits]
    recall = {label: _share(hits) for label, hits in right.items()}
    return Tested(_share(every), recall)


def main(arguments: Sequence[str] | None = None) -> int:
    """Train from the command line; 0 if a model was written."""
    parser = argparse.ArgumentParser(prog="make model", description="Train the demo's model again.")
    parser.add_argument("--into", type=Path, default=Path("include/models/surface/1"))
    parser.add_argument("--seed", type=int, default=Recipe().seed)
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        tested = train(chosen.into, Recipe(seed=chosen.seed), _print)
    except FrameferryError as error:
        sys.stderr.write(f"make model: {error}\n")
        return 1
    _print(f"accuracy {tested.accuracy:.4f}; written to {chosen.into}")
    return 0


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _share(hits: Sequence[bool]) -> float:
    return round(sum(hits) / max(1, len(hits)), 4)


def _stack(
    pictures: Iterable[tuple[Label, bytes]], recipe: Recipe
) -> tuple[Pixels, NDArray[np.int64]]:
    """Decode a set as the judge would: pixels, and the labels' numbers."""
    pixels = np.empty((recipe.pictures, recipe.input_pixels, recipe.input_pixels, 3), np.uint8)
    numbers = np.empty(recipe.pictures, np.int64)
    for index, (label, value) in enumerate(pictures):
        decoded = decode(value, recipe.spec)
        assert not isinstance(decoded, Undecodable), decoded
        pixels[index] = decoded
        numbers[index] = LABELS.index(label)
    return pixels, numbers


def _network(recipe: Recipe) -> Any:  # noqa: ANN401  # Keras has no types of its own
    """
    Build a small convolutional network.

    Separable convolutions keep it cheap on one core. Both the largest and the mean response of
    each filter decide: a hole is one small spot, a stain is an area.
    """
    import tensorflow as tf

    layers = tf.keras.layers
    entry = layers.Input((recipe.input_pixels, recipe.input_pixels, 3))
    flow = layers.Rescaling(2, -1)(entry)
    flow = layers.Conv2D(_STEM_FILTERS, 5, strides=2, padding="same", use_bias=False)(flow)
    flow = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(flow))
    for filters in _FILTERS:
        flow = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False)(flow)
        flow = layers.ReLU()(layers.BatchNormalization(momentum=0.9)(flow))
        flow = layers.MaxPool2D()(flow)
    largest, mean = layers.GlobalMaxPool2D()(flow), layers.GlobalAvgPool2D()(flow)
    both = layers.Dropout(0.2)(layers.Concatenate()([largest, mean]))
    return tf.keras.Model(entry, layers.Dense(len(LABELS), activation="softmax")(both))


def _fitted(
    pixels: Pixels, numbers: NDArray[np.int64], recipe: Recipe, tell: Callable[[str], None]
) -> Any:  # noqa: ANN401
    import tensorflow as tf

    tf.keras.utils.set_random_seed(recipe.seed)
    network = _network(recipe)
    steps = recipe.epochs * max(1, len(pixels) // _BATCH)
    pace = tf.keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    network.compile(tf.keras.optimizers.Adam(pace), "sparse_categorical_crossentropy")
    rng = np.random.default_rng(recipe.seed)
    for epoch in range(recipe.epochs):
        order = rng.permutation(len(pixels))
        losses = []
        for chosen in np.array_split(order, max(1, len(order) // _BATCH)):
            shown = _turned(rng, pixels[chosen]).astype(np.float32) / 255
            losses.append(float(network.train_on_batch(shown, numbers[chosen])))
        tell(f"epoch {epoch + 1} of {recipe.epochs}: loss {np.mean(losses):.4f}")
    return tf.keras.Model(network.inputs, network.outputs)


def _turned(rng: np.random.Generator, pictures: Pixels) -> Pixels:
    """Flip or turn a stack: a defect is the same from every side."""
    rows, columns = rng.choice([-1, 1], 2)
    flipped = pictures[:, ::rows, ::columns]
    return flipped.transpose(0, 2, 1, 3) if rng.random() < 1 / 2 else flipped


def _write_controls(folder: Path, seed: int) -> None:
    (folder / "control").mkdir()
    for label in LABELS:
        value = encode(picture(seed, label, _CONTROL_SIZE), "JPEG")
        (folder / "control" / f"{label}.jpg").write_bytes(value)


def _write_card(folder: Path, recipe: Recipe, tested: Tested | None) -> None:
    model = FoundModel(folder / MODEL_NAME, "keras", Card(), None)
    card = Card(
        name="surface",
        version="1",
        model=MODEL_NAME,
        input=InputSize(height_pixels=recipe.input_pixels, width_pixels=recipe.input_pixels),
        preprocessing=recipe.spec.preprocessing,
        labels=LABELS,
        output=recipe.spec.output,
        digest=content_digest(model),
        control=tuple(Control(picture=f"control/{label}.jpg", label=label) for label in LABELS),
        data=_DATA,
        metrics=_metrics(recipe, tested) if tested else {},
        retrain=f"make model (python -m frameferry.demo.training --seed {recipe.seed})",
        licence="Apache-2.0, like the program that made pictures and model",
    )
    text = yaml.safe_dump(
        card.model_dump(mode="json"), sort_keys=False, allow_unicode=True, width=98
    )
    (folder / CARD_NAME).write_text(_HEAD + text, encoding="utf-8")


def _metrics(recipe: Recipe, tested: Tested) -> dict[str, float | int | str]:
    return {
        "accuracy": tested.accuracy,
        **{f"recall_{label}": share for label, share in tested.recall.items()},
        "tested_pictures": recipe.tested,
        "tested_seed": recipe.fresh_seed,
        "trained_pictures": recipe.pictures,
        "trained_seed": recipe.seed,
    }


def _refuse_worse(
    folder: Path, fresh: Sequence[tuple[Label, bytes]], tested: Tested, recipe: Recipe
) -> None:
    remedy = "Try another --seed; the model that was there stays"
    if tested.accuracy < recipe.least_accuracy:
        what = f"the new model is right in {tested.accuracy:.4f}, not {recipe.least_accuracy}"
        raise mismatch(folder, what, remedy)
    if not (folder / MODEL_NAME).exists():
        return
    present = measure(folder, fresh)
    if tested.accuracy < present.accuracy:
        what = (
            f"the new model is worse: right in {tested.accuracy:.4f}, the present one in "
            f"{present.accuracy:.4f} of the same pictures"
        )
        raise mismatch(folder, what, remedy)


def _install(made: Path, folder: Path) -> None:
    """Put the new files in place, the card last: a model without its card is refused."""
    for source in sorted(made.rglob("*"), key=lambda path: path.name == CARD_NAME):
        if source.is_file():
            target = folder / source.relative_to(made)
            target.parent.mkdir(parents=True, exist_ok=True)
            beside = target.with_name(f".{target.name}.new")
            shutil.copyfile(source, beside)
            beside.replace(target)


if __name__ == "__main__":
    sys.exit(main())
