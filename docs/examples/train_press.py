"""
Train a small model on 16-bit TIFFs, fed exactly as a pipeline will feed it.

    python docs/examples/train_press.py PICTURES MODEL

PICTURES holds a folder a label, with TIFFs in each. MODEL becomes a model's folder: model, card,
and two pictures with what training saw of them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from frameferry.inference.preprocess import card_spec, preprocess
from frameferry.inference.undecodable import Undecodable

LABELS = ("good", "scratch")
CARD: dict[str, Any] = {
    "name": "press",
    "input": {"height_pixels": 32, "width_pixels": 32},
    "preprocessing": {
        # The conveyor's edges, left and right of the part, change with the light.
        "region": {"unit": "share", "left": 0.25, "width": 0.5, "height": 1},
        "channels": "grey",
        "scale": "standardise",
    },
    "labels": list(LABELS),
    "output": "softmax",
}
EPOCHS, SEED = 12, 7


def main(pictures: Path, into: Path) -> float:
    """Train, write the model's folder, and return the accuracy on what was learnt from."""
    into.mkdir(parents=True, exist_ok=True)
    paths = [path for label in LABELS for path in sorted((pictures / label).glob("*.tif*"))]
    (into / "card.yaml").write_text(yaml.safe_dump(CARD))
    inputs = fed(paths, into)
    answers = np.array([LABELS.index(path.parent.name) for path in paths])
    model = trained(inputs, answers)
    model.save(into / "model.keras")
    keep_parity(into, model, [paths[0], paths[-1]])
    return float((model.predict(inputs, verbose=0).argmax(axis=1) == answers).mean())


def fed(paths: list[Path], into: Path) -> NDArray[Any]:
    """Make the model's input of each picture, by what the card says."""
    spec = card_spec(into / "card.yaml")
    made = [preprocess(path.read_bytes(), spec) for path in paths]
    bad = [str(path) for path, one in zip(paths, made, strict=True) if isinstance(one, Undecodable)]
    if bad:
        sys.exit(f"cannot be decoded: {bad}")
    return np.concatenate(made)


def trained(inputs: NDArray[Any], answers: NDArray[np.intp]) -> Any:
    """Fit a few layers."""
    import keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input(inputs.shape[1:]),
            layers.Conv2D(8, 5, strides=2, activation="relu"),
            layers.GlobalMaxPooling2D(),
            layers.Dense(len(LABELS), activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy")
    model.fit(inputs, answers, epochs=EPOCHS, batch_size=8, verbose=0)
    return model


def keep_parity(into: Path, model: Any, paths: list[Path]) -> None:
    """Keep what training saw of some pictures, for every later check."""
    folder = into / "parity"
    folder.mkdir(exist_ok=True)
    entries = []
    for number, path in enumerate(paths):
        inputs = fed([path], into)
        shutil.copy(path, folder / f"{number}.tif")
        np.save(folder / f"{number}-inputs.npy", inputs)
        np.save(folder / f"{number}-outputs.npy", model.predict(inputs, verbose=0))
        names = {"picture": ".tif", "inputs": "-inputs.npy", "outputs": "-outputs.npy"}
        entries.append({key: f"parity/{number}{end}" for key, end in names.items()})
    (into / "card.yaml").write_text(yaml.safe_dump({**CARD, "parity": entries}))


if __name__ == "__main__":
    print(f"accuracy {main(Path(sys.argv[1]), Path(sys.argv[2])):.3f}")
