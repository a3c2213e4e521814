"""Real TensorFlow: the committed model, and tiny models of every kind and mistake."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.demo.surfaces import samples
from frameferry.errors import ModelMismatch
from frameferry.inference import judge as judging
from frameferry.inference.card import find_model
from frameferry.inference.decode import NEARLY_BLACK
from frameferry.inference.digest import judge_digest
from frameferry.inference.judge import MOST_MODELS, Verdict, load_judge, read_judge
from frameferry.inference.versions import at_newest

SURFACE = Path(__file__).parents[2] / "include/models/surface/1"
CARD: dict[str, Any] = {
    "input": {"height_pixels": 8, "width_pixels": 8},
    "preprocessing": "unit",
    "labels": ["dark", "bright"],
    "output": "softmax",
}


def plain(grey: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (20, 10), grey).save(buffer, "PNG")
    return buffer.getvalue()


def brightness(
    last: Callable[[Any], Any], *, side: int = 8, scale: float = 1, shift: float = 0
) -> Any:
    """Build a network from a picture's mean, as (pictures, 1), to whatever *last* makes of it."""
    import tensorflow as tf

    layers = tf.keras.layers
    entry = layers.Input((side, side, 3))
    means = layers.GlobalAveragePooling2D()(layers.Rescaling(scale, shift)(entry))
    mean = layers.Dense(1, use_bias=False, kernel_initializer=_constant(1 / 3))(means)
    return tf.keras.Model(entry, last(mean))


def _constant(value: float) -> Any:
    import tensorflow as tf

    return tf.keras.initializers.Constant(value)


def dense(weights: list[float], bias: list[float], activation: str | None = None) -> Any:
    import tensorflow as tf

    return tf.keras.layers.Dense(
        len(weights),
        activation=activation,
        kernel_initializer=_constant(np.array([weights])),
        bias_initializer=_constant(np.array(bias)),
    )


def dark_or_bright(activation: str | None = "softmax", **options: Any) -> Any:
    return brightness(dense([-20, 20], [10, -10], activation), **options)


def saved(folder: Path, network: Any, **card: Any) -> ModelSettings:
    folder.mkdir(exist_ok=True)
    network.save(folder / "model.keras")
    (folder / "card.yaml").write_text(yaml.safe_dump({**CARD, **card}))
    return ModelSettings(path=str(folder))


def refusal(settings: ModelSettings) -> str:
    with pytest.raises(ModelMismatch) as caught:
        read_judge(settings)
    assert caught.value.remedy
    message = str(caught.value)
    assert message.startswith(f"model {settings.path}")
    assert "\n" not in message
    return message


@pytest.fixture(scope="module")
def surface() -> judging.Judge:
    return load_judge(ModelSettings(path=str(SURFACE)))


def test_the_committed_model_is_right_on_a_fresh_seed(surface: judging.Judge) -> None:
    shown = list(samples(4711, 240))
    verdicts = surface.judge([value for _, value in shown])
    right = [label == verdict.label for (label, _), verdict in zip(shown, verdicts, strict=True)]
    assert sum(right) / len(right) >= 0.95


def test_the_committed_models_control_pictures_are_labelled_as_the_card_says(
    surface: judging.Judge,
) -> None:
    controls = find_model(str(SURFACE)).control_pictures()
    verdicts = surface.judge([value for _, value in controls])
    assert [verdict.label for verdict in verdicts] == [label for label, _ in controls]


def test_a_verdict_is_small_and_whole(surface: judging.Judge) -> None:
    ((label, value),) = samples(4712, 1)
    (verdict,) = surface.judge([value])
    assert verdict.label == label
    assert verdict.score is not None
    assert 0.5 < verdict.score <= 1
    assert verdict.outputs is not None
    assert len(verdict.outputs.encode()) < 300
    assert list(json.loads(verdict.outputs)) == ["good", "scratch", "hole", "stain"]
    assert (verdict.reason, verdict.detail) == (None, None)


def test_bad_pictures_are_reasons_between_good_ones(tmp_path: Path) -> None:
    judge = read_judge(saved(tmp_path / "m", dark_or_bright()))
    verdicts = judge.judge([plain(250), b"", plain(5), b"text", plain(250)[:-20], plain(240)])
    assert [verdict.label for verdict in verdicts] == ["bright", None, "dark", None, None, "bright"]
    reasons = [verdict.reason for verdict in verdicts]
    assert reasons == [None, "empty", None, "not an image", "truncated", None]
    assert verdicts[1] == Verdict(reason="empty", detail="0 bytes")


def test_a_verdict_does_not_depend_on_how_many_came_along(surface: judging.Judge) -> None:
    values = [value for _, value in samples(4713, 19)]
    together = surface.judge(values)
    for size in (1, 7, 8, 9):
        apart = [
            verdict
            for start in range(0, len(values), size)
            for verdict in surface.judge(values[start : start + size])
        ]
        assert apart == together
    assert surface.judge([]) == []


@pytest.mark.parametrize(
    ("output", "last"),
    [
        ("softmax", lambda: dense([-20, 20], [10, -10], "softmax")),
        ("logits", lambda: dense([-20, 20], [10, -10])),
        ("sigmoid", lambda: dense([-20, 20], [10, -10], "sigmoid")),
        ("sigmoid", lambda: dense([20], [-10], "sigmoid")),
        ("logits", lambda: dense([20], [-10])),
    ],
    ids=["softmax", "logits", "sigmoids", "one sigmoid", "one logit"],
)
def test_every_kind_of_output_is_read(tmp_path: Path, output: str, last: Callable[[], Any]) -> None:
    judge = read_judge(saved(tmp_path / "m", brightness(last()), output=output))
    bright, dark = judge.judge([plain(255), plain(0)])
    assert (bright.label, dark.label) == ("bright", "dark")
    assert bright.score is not None
    assert bright.score > 0.99


@pytest.mark.parametrize(
    ("preprocessing", "scale", "shift"), [("unit", 1, 0), ("signed", 0.5, 0.5), ("raw", 1 / 255, 0)]
)
def test_every_preprocessing_feeds_what_it_says(
    tmp_path: Path, preprocessing: str, scale: float, shift: float
) -> None:
    network = brightness(dense([1], [0]), scale=scale, shift=shift)
    settings = saved(tmp_path / "m", network, output="sigmoid", preprocessing=preprocessing)
    verdicts = read_judge(settings).judge([plain(0), plain(102), plain(255)])
    shares = [json.loads(verdict.outputs or "")["bright"] for verdict in verdicts]
    assert shares == pytest.approx([0, 0.4, 1], abs=1e-3)


def test_a_saved_model_judges_like_its_keras_file(tmp_path: Path) -> None:
    network = dark_or_bright()
    by_file = read_judge(saved(tmp_path / "m", network))
    network.export(tmp_path / "saved", verbose=False)
    (tmp_path / "saved" / "card.yaml").write_text(yaml.safe_dump(CARD))
    settings = ModelSettings(path=str(tmp_path / "saved"))
    by_folder = load_judge(settings)
    values = [plain(grey) for grey in range(0, 256, 15)]
    assert by_folder.judge(values) == by_file.judge(values)
    assert by_folder.digest == judge_digest(settings)
    assert by_folder.digest != by_file.digest


def test_a_saved_model_of_its_own_making_with_bytes_in_and_a_fixed_batch(tmp_path: Path) -> None:
    import tensorflow as tf

    class Mean(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((3, 8, 8, 3), tf.uint8)])
        def serve(self, pixels: Any) -> Any:
            share = tf.reduce_mean(tf.cast(pixels, tf.float32), axis=(1, 2, 3)) / 255
            return {"bright": share}

    made = Mean()
    tf.saved_model.save(made, str(tmp_path / "saved"), signatures=made.serve)
    settings = ModelSettings(
        path=str(tmp_path / "saved"),
        input_height_pixels=8,
        input_width_pixels=8,
        preprocessing="raw",
        labels=("dark", "bright"),
        output="sigmoid",
    )
    verdicts = read_judge(settings).judge([plain(grey) for grey in (0, 255, 0, 255)])
    assert [verdict.label for verdict in verdicts] == ["dark", "bright", "dark", "bright"]


def test_the_digest_is_that_of_the_files_and_card(surface: judging.Judge) -> None:
    settings = ModelSettings(path=str(SURFACE))
    assert surface.digest == judge_digest(settings)


def test_a_second_call_is_the_same_judge_and_other_settings_are_another(tmp_path: Path) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    judge = load_judge(settings)
    assert load_judge(settings) is judge
    other = load_judge(settings.model_copy(update={"threshold": 0.9}))
    assert other is not judge
    assert other.digest != judge.digest


def test_a_file_that_was_only_touched_stays_loaded(tmp_path: Path) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    judge = load_judge(settings)
    os.utime(tmp_path / "m" / "model.keras", ns=(1, 1))
    assert load_judge(settings) is judge
    assert load_judge(settings) is judge


def test_a_changed_model_is_loaded_anew_and_refused_where_the_old_one_is_meant(
    tmp_path: Path,
) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    judge = load_judge(settings)
    kept = shutil.copy(tmp_path / "m" / "model.keras", tmp_path / "kept")
    dark_or_bright("sigmoid").save(tmp_path / "m" / "model.keras")
    for _ in range(2):
        with pytest.raises(ModelMismatch, match="Let the workers see the same") as caught:
            load_judge(settings, judge.digest)
        assert str(tmp_path / "m") in str(caught.value)
    assert judge.digest != load_judge(settings).digest
    shutil.copy(kept, tmp_path / "m" / "model.keras")
    assert judge.digest == load_judge(settings, judge.digest).digest


def test_a_new_version_counts_from_the_next_batch_on(tmp_path: Path) -> None:
    saved(tmp_path / "1", dark_or_bright())
    versions = ModelSettings(path=str(tmp_path))
    begun = at_newest(versions)
    first = load_judge(begun)
    saved(tmp_path / "2", dark_or_bright("sigmoid"), output="sigmoid")
    assert first is load_judge(begun, first.digest), "a batch that has begun keeps its version"
    second = load_judge(versions)
    assert second.digest == judge_digest(versions) != first.digest


def test_a_changed_card_counts_and_a_vanished_model_fails_loudly(tmp_path: Path) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    judge = load_judge(settings)
    card = yaml.safe_dump({**CARD, "labels": ["bright", "dark"]})
    (tmp_path / "m" / "card.yaml").write_text(card)
    with pytest.raises(ModelMismatch, match="not"):
        load_judge(settings, judge.digest)
    shutil.rmtree(tmp_path / "m")
    with pytest.raises(ModelMismatch, match="there is no model"):
        load_judge(settings)


def test_of_too_many_models_the_one_that_was_least_asked_for_goes(tmp_path: Path) -> None:
    every = [saved(tmp_path / str(number), dark_or_bright()) for number in range(MOST_MODELS + 1)]
    first, second = load_judge(every[0]), load_judge(every[1])
    for settings in every[2:-1]:
        load_judge(settings)
    assert load_judge(every[0]) is first
    load_judge(every[-1])
    assert load_judge(every[0]) is first
    assert load_judge(every[1]) is not second


def test_the_digest_is_of_what_was_loaded_even_if_the_file_changes_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    before = judge_digest(settings)
    load_network = judging.load_network

    def after_a_change(*arguments: Any) -> Any:
        (tmp_path / "m" / "model.keras").write_bytes(b"another model")
        return load_network(*arguments)

    monkeypatch.setattr(judging, "load_network", after_a_change)
    judge = load_judge(settings)
    assert judge.digest == before
    assert judge.judge([plain(255)])[0].label == "bright"
    with pytest.raises(ModelMismatch, match="cannot load"):
        load_judge(settings)


def test_copies_of_workers_that_died_while_loading_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    old, young = (tmp_path / f"frameferry-model-{age}" for age in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
        (folder / "model.keras").touch()
    os.utime(old, (1, 1))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    read_judge(settings)
    assert [path.name for path in tmp_path.glob("frameferry-model-*")] == [young.name]


def test_an_input_that_does_not_fit_names_both_shapes(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / "m", dark_or_bright(side=16)))
    assert "takes 16 x 16 x 3" in message
    assert "says 8 x 8 x 3" in message
    assert "card.yaml" in message


def test_a_saved_models_input_that_does_not_fit_names_both_shapes(tmp_path: Path) -> None:
    dark_or_bright(side=16).export(tmp_path / "m", verbose=False)
    (tmp_path / "m" / "card.yaml").write_text(yaml.safe_dump(CARD))
    assert "takes 16 x 16 x 3" in refusal(ModelSettings(path=str(tmp_path / "m")))


def test_another_number_of_outputs_names_both(tmp_path: Path) -> None:
    settings = saved(tmp_path / "m", dark_or_bright(), labels=["a", "b", "c"])
    message = refusal(settings)
    assert "gives 2 outputs" in message
    assert "says 3 (softmax: a, b, c)" in message


def test_another_kind_of_output_is_noticed_when_the_model_is_loaded(tmp_path: Path) -> None:
    message = refusal(saved(tmp_path / "m", brightness(dense([-50, 80], [3, 9])), output="softmax"))
    assert "not softmax" in message
    assert "logits" in message


def test_a_model_with_two_outputs_is_refused(tmp_path: Path) -> None:
    network = brightness(lambda mean: [dense([1], [0])(mean), dense([2], [0])(mean)])
    assert "1 inputs and 2 outputs" in refusal(saved(tmp_path / "m", network))


def test_a_file_that_keras_cannot_read_is_refused(tmp_path: Path) -> None:
    settings = saved(tmp_path / "m", dark_or_bright())
    (tmp_path / "m" / "model.keras").write_bytes(b"PK\x05\x06 not a model")
    assert "cannot load it" in refusal(settings)


def test_a_broken_saved_model_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    (folder / "card.yaml").write_text(yaml.safe_dump(CARD))
    assert "cannot load it" in refusal(ModelSettings(path=str(folder)))


def test_code_in_a_model_file_is_not_run(tmp_path: Path) -> None:
    import tensorflow as tf

    mark = tmp_path / "it ran"

    def last(mean: Any) -> Any:
        place = str(mark)
        return tf.keras.layers.Lambda(lambda x, place=place: (open(place, "w").close(), x)[1])(mean)  # noqa: PTH123

    settings = saved(tmp_path / "m", brightness(last), output="sigmoid")
    mark.unlink()
    assert "Lambda layer is program code" in refusal(settings)
    assert not mark.exists()


def test_an_answer_that_is_no_number_is_a_reason_for_that_picture_only(tmp_path: Path) -> None:
    import tensorflow as tf

    def last(mean: Any) -> Any:
        shares = tf.keras.layers.Concatenate()([1 - mean, mean])
        return shares + 0 * tf.keras.ops.log(mean)

    judge = read_judge(saved(tmp_path / "m", brightness(last)))
    black, white = judge.judge([plain(0), plain(255)])
    assert (black.reason, black.label, black.score) == ("no answer", None, None)
    assert white.label == "bright"


def test_numbers_of_another_kind_are_a_reason_for_that_picture_only(tmp_path: Path) -> None:
    # The noise that a model is loaded with is grey on average; only white passes 1.
    judge = read_judge(saved(tmp_path / "m", brightness(dense([1.2], [0])), output="sigmoid"))
    dark, white, grey = judge.judge([plain(0), plain(255), plain(128)])
    assert (white.reason, white.label) == ("no answer", None)
    assert white.detail == "outputs lie between 1.2 and 1.2, not between 0 and 1"
    assert [dark.label, grey.label] == ["dark", "bright"]


def test_nothing_imports_tensorflow_before_it_is_needed_and_then_it_has_one_thread() -> None:
    program = """
import sys
from frameferry.inference import answer, card, checking, decode, digest, judge, network
from frameferry.demo import surfaces, training
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
from frameferry.config.settings import ModelSettings
settings = ModelSettings(path=sys.argv[1])
checking.check_model(settings)
assert "tensorflow" not in sys.modules and "keras" not in sys.modules
judge.load_judge(settings)
import tensorflow as tf
if not tf.config.list_physical_devices("GPU"):
    assert tf.config.threading.get_intra_op_parallelism_threads() == 1
    assert tf.config.threading.get_inter_op_parallelism_threads() == 1
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(SURFACE)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_grey_that_is_nearly_black_is_judged_and_remarked() -> None:
    target = io.BytesIO()
    Image.fromarray(np.full((20, 30), 2976, np.uint16)).save(target, "PNG")
    dark = target.getvalue()
    usual, remarked = load_judge(ModelSettings(path=str(SURFACE))).judge([plain(90), dark])
    assert remarked.label is not None
    assert (None, NEARLY_BLACK) == (usual.detail, remarked.detail)
    [seen] = read_judge(ModelSettings(path=str(SURFACE), grey_bits=12)).judge([dark])
    assert seen.detail is None
