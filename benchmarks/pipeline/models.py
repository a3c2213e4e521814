"""
The two models, with random weights and a card each: `python -m benchmarks.pipeline.models FOLDER`.

A process of its own, so that the one that measures never imports TensorFlow.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.pipeline.loads import CNN, MOBILENET

PIXELS: Final = 224
LABELS: Final = ("good", "scratch", "hole", "stain")
FILE: Final = "model.keras"


def make_models(folder: Path, models: list[str]) -> subprocess.Popen[bytes]:
    """Begin to make the models below a folder; wait for the process to end."""
    argv = [sys.executable, "-m", "benchmarks.pipeline.models", str(folder), *models]
    return subprocess.Popen(argv, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"})


def main() -> None:
    folder, models = Path(sys.argv[1]), sys.argv[2:]
    import keras  # noqa: PLC0415 - heavy, and only this process needs it

    keras.utils.set_random_seed(1)
    for name in models:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        _MAKERS[name](keras).save(place / FILE)
        (place / "card.yaml").write_text(yaml.safe_dump(_card(name)), encoding="utf-8")


def _card(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "version": "1",
        "model": FILE,
        "input": {"height_pixels": PIXELS, "width_pixels": PIXELS},
        "preprocessing": "unit",
        "labels": list(LABELS),
        "output": "softmax",
        "data": "None: random weights, for measuring only.",
    }


def _cnn(keras: Any) -> Any:  # noqa: ANN401 - keras has no types of its own
    layers = keras.layers
    stack = [keras.Input((PIXELS, PIXELS, 3))]
    for filters in (8, 16, 32, 32):
        stack += [layers.Conv2D(filters, 3, strides=2, padding="same", activation="relu")]
    return keras.Sequential(
        [*stack, layers.GlobalAveragePooling2D(), layers.Dense(len(LABELS), activation="softmax")]
    )


def _mobilenet(keras: Any) -> Any:  # noqa: ANN401
    return keras.applications.MobileNetV2(
        input_shape=(PIXELS, PIXELS, 3), weights=None, classes=len(LABELS)
    )


_MAKERS: Final = {CNN: _cnn, MOBILENET: _mobilenet}


if __name__ == "__main__":
    main()
