"""Real small models of every kind of output: what each says of a bright and of a dark picture."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.judge import read_judge
from frameferry.inference.verdict import Verdict

CARD: dict[str, Any] = {"input": {"height_pixels": 8, "width_pixels": 8}, "preprocessing": "unit"}
KIND = {"kind": "classes", "of": "sigmoid", "labels": ["dark", "bright"]}
WIDTH = {"kind": "number", "unit": "mm", "lowest": 1, "highest": 4}


def plain(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (20, 10), grey).save(buffer, "PNG")
    return buffer.getvalue()


def keras_model(folder: Path, last: Callable[[Any, Any], Any]) -> Path:
    """Save a model of what *last* makes of the picture and of its mean, (pictures, 1)."""
    import tensorflow as tf

    entry = tf.keras.layers.Input((8, 8, 3))
    mean = tf.keras.layers.GlobalAveragePooling2D()(entry)
    mean = tf.keras.layers.Dense(
        1, use_bias=False, kernel_initializer=tf.keras.initializers.Constant(1 / 3)
    )(mean)
    tf.keras.Model(entry, last(entry, mean)).save(folder / "model.keras")
    return folder


def saved_model(folder: Path, dtype: str = "float32", **signatures: Callable[[Any], Any]) -> Path:
    """Save one of functions of a stack of pictures, one picture at a time."""
    import tensorflow as tf

    made = tf.Module()
    functions = {
        name: tf.function(call, input_signature=[tf.TensorSpec((1, 8, 8, 3), dtype)])
        for name, call in signatures.items()
    }
    for name, function in functions.items():
        setattr(made, name, function)
    tf.saved_model.save(made, str(folder), signatures=functions)
    return folder


def judged(folder: Path, **card: Any) -> tuple[Verdict, Verdict]:
    (folder / "card.yaml").write_text(yaml.safe_dump({**CARD, **card}))
    bright, dark = read_judge(ModelSettings(path=str(folder))).judge([plain(255), plain(0)])
    return bright, dark


def refusal(folder: Path, **card: Any) -> str:
    with pytest.raises(ModelMismatch) as caught:
        judged(folder, **card)
    assert caught.value.remedy
    assert "\n" not in str(caught.value)
    return str(caught.value)


def told(verdict: Verdict) -> Any:
    return json.loads(verdict.outputs or "")


def two_heads(entry: Any, mean: Any) -> dict[str, Any]:
    return {"kind": mean, "width": mean * 5.0}


def test_a_class_and_a_measure_by_one_model(tmp_path: Path) -> None:
    folder = keras_model(tmp_path, two_heads)
    bright, dark = judged(folder, outputs={"kind": KIND, "width": WIDTH})
    assert ("bright", 1.0, 5.0, "mm") == (bright.label, bright.score, bright.value, bright.unit)
    assert {"value": 0.0, "unit": "mm", "label": "low"} == told(dark)["width"]
    by_width, _ = judged(folder, outputs={"kind": KIND, "width": WIDTH}, verdict="width")
    assert ("high", None) == (by_width.label, by_width.score)


def test_a_model_whose_outputs_have_no_names_is_read_by_those_of_its_layers(
    tmp_path: Path,
) -> None:
    import tensorflow as tf

    def named(entry: Any, mean: Any) -> list[Any]:
        width = tf.keras.layers.Rescaling(5.0, name="width")(mean)
        return [tf.keras.layers.Identity(name="kind")(mean), width]

    bright, _ = judged(keras_model(tmp_path, named), outputs={"kind": KIND, "width": WIDTH})
    assert ("bright", 5.0) == (bright.label, bright.value)


def test_an_autoencoder_finds_odd_what_it_does_not_know(tmp_path: Path) -> None:
    """It knows dark pictures only: whatever it is shown, it draws black."""
    folder = keras_model(tmp_path, lambda entry, mean: entry * 0.0)
    oddness = {"kind": "anomaly", "of": "reconstruction", "threshold": 0.5}
    bright, dark = judged(folder, outputs={"oddness": oddness})
    assert ("anomaly", 1.0, "normal", 0.0) == (bright.label, bright.value, dark.label, dark.value)


def test_a_segmenter(tmp_path: Path) -> None:
    import tensorflow as tf

    def last(entry: Any, mean: Any) -> Any:
        return tf.keras.layers.Concatenate()([1 - entry[..., :1], entry[..., :1]])

    where = {"kind": "mask", "of": "softmax", "labels": ["good", "rust"]}
    bright, dark = judged(keras_model(tmp_path, last), outputs={"where": where})
    assert ("rust", 1.0, "good", 0.0) == (bright.label, bright.value, dark.label, dark.value)
    with Image.open(io.BytesIO(base64.b64decode(told(bright)["where"]["mask"]))) as mask:
        assert ((8, 8), (1, 1)) == (mask.size, mask.getextrema())


def test_an_embedding_beside_a_class(tmp_path: Path) -> None:
    def last(entry: Any, mean: Any) -> dict[str, Any]:
        return {"kind": mean, "look": entry[:, 0, :, 0]}

    folder = keras_model(tmp_path, last)
    bright, _ = judged(folder, outputs={"kind": KIND, "look": {"kind": "embedding"}})
    vector = np.frombuffer(base64.b64decode(told(bright)["look"]["base64"]), "<f4")
    assert [1.0] * 8 == vector.tolist()


def detected(pixels: Any) -> dict[str, Any]:
    """Find a box of class 2, as sure as the picture is bright; in bytes, as detectors are fed."""
    import tensorflow as tf

    share = tf.reduce_mean(tf.cast(pixels, tf.float32)) / 255
    return {
        "detection_boxes": tf.constant([[[0.1, 0.2, 0.3, 0.4], [0.0] * 4]]),
        "detection_classes": tf.constant([[2.0, 1.0]]),
        "detection_scores": tf.reshape(tf.stack([share, 0.0]), (1, 2)),
        "num_detections": tf.constant([2.0]),
        "detection_names": tf.constant([["hole", "none"]]),
    }


DEFECTS = {"kind": "boxes", "form": "tensorflow", "labels": ["rust", "hole"], "otherwise": "good"}


def test_a_detector_with_the_outputs_of_tensorflows_object_detection(tmp_path: Path) -> None:
    folder = saved_model(tmp_path / "m", "uint8", serving_default=detected)
    bright, dark = judged(folder, outputs={"defects": DEFECTS}, preprocessing="raw")
    assert ("hole", 1.0, "good", 1.0) == (bright.label, bright.score, dark.label, dark.score)
    [box] = told(bright)["defects"]["boxes"]
    assert [0.2, 0.1, 0.4, 0.3] == box["box"]


def test_a_signature_is_called_by_its_name(tmp_path: Path) -> None:
    import tensorflow as tf

    folder = saved_model(
        tmp_path / "m",
        serving_default=lambda pixels: {"any": tf.zeros((1, 7))},
        measure=lambda pixels: {"mean": tf.reduce_mean(pixels, axis=(1, 2, 3)) * 5},
    )
    bright, _ = judged(folder, outputs={"width": WIDTH}, signature="measure")
    assert ("high", 5.0) == (bright.label, bright.value)
    message = refusal(folder, outputs={"width": WIDTH}, signature="mesure")
    assert "no signature mesure, only measure, serving_default" in message
    assert "signature:" in message


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"kind": {**KIND, "labels": ["a", "b", "c"]}}, "outputs.kind: the model gives 1 outputs"),
        ({"kind": KIND, "height": WIDTH}, "outputs.height: the model has no output 'height', only"),
        ({"kind": {**KIND, "of": "softmax"}}, "outputs.kind: the model gives 1 outputs"),
        ({"kind": DEFECTS}, "need an output detection_boxes; the model has kind, width"),
    ],
)
def test_a_card_that_does_not_fit_is_refused_when_the_model_is_loaded(
    tmp_path: Path, outputs: Any, words: str
) -> None:
    assert words in refusal(keras_model(tmp_path, two_heads), outputs=outputs)


def test_two_outputs_of_which_nothing_is_stated_are_refused(tmp_path: Path) -> None:
    message = refusal(keras_model(tmp_path, two_heads), labels=["dark", "bright"], output="sigmoid")
    assert "2 outputs; its card says nothing of which is what" in message
