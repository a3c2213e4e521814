"""Preprocessing beside TensorFlow and Keras, parity, tiles, and what is refused before it runs."""

from __future__ import annotations

import importlib
import io
import itertools
import json
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
import yaml
from numpy.typing import NDArray

from frameferry.config.connections import KafkaConnection
from frameferry.config.preprocessing import APPLICATIONS, PreprocessingSettings, TilesSettings
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.errors import ModelMismatch
from frameferry.inference import checking
from frameferry.inference.card import Spec
from frameferry.inference.digest import judge_digest
from frameferry.inference.feeding.cutting import MOST_TILES
from frameferry.inference.feeding.gathering import gathered
from frameferry.inference.judge import read_judge
from frameferry.inference.preprocess import card_spec, preprocess
from frameferry.inference.undecodable import Reason, Undecodable
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import check_model
from frameferry.spark.worker import _control_verdicts

ROOT = Path(__file__).parents[2]
Array = NDArray[Any]
CARD: dict[str, Any] = {
    "input": {"height_pixels": 8, "width_pixels": 8},
    "preprocessing": {"channels": "grey"},
    "labels": ["good", "scratch"],
    "output": "sigmoid",
}
SPEC = Spec(20, 24, "unit", ("a", "b"), "softmax", None, 0.5, 10**6, 10**7)


def tiff(pixels: Array) -> bytes:
    target = io.BytesIO()
    tifffile.imwrite(target, pixels, metadata=None)
    return target.getvalue()


PIXELS = np.random.default_rng(7).integers(0, 256, (47, 61, 3), np.uint8)
VALUE = tiff(PIXELS)


def made(value: bytes = VALUE, spec: Spec = SPEC, **steps: Any) -> Array:
    spec = replace(spec, preprocessing=PreprocessingSettings.model_validate(steps))
    inputs = preprocess(value, spec)
    assert not isinstance(inputs, Undecodable), inputs
    return inputs


@pytest.mark.parametrize(
    ("ours", "theirs"), [("bilinear", "bilinear"), ("bicubic", "bicubic"), ("lanczos", "lanczos3")]
)
@pytest.mark.parametrize("size", [(20, 24), (94, 30)])
def test_interpolation_is_tensorflows_within_a_level(
    ours: str, theirs: str, size: tuple[int, int]
) -> None:
    import tensorflow as tf

    spec = replace(SPEC, height_pixels=size[0], width_pixels=size[1])
    expected = tf.image.resize(PIXELS, size, theirs, antialias=True).numpy().clip(0, 255)
    assert np.abs(made(spec=spec, interpolation=ours, scale="raw")[0] - expected).max() < 0.02


def test_without_antialias_it_is_what_keras_does_unless_told_otherwise() -> None:
    import tensorflow as tf

    for size in ((20, 24), (94, 30), (47, 61)):
        spec = replace(SPEC, height_pixels=size[0], width_pixels=size[1])
        expected = tf.keras.layers.Resizing(*size)(PIXELS.astype(np.float32)).numpy()
        seen = made(spec=spec, antialias=False, scale="raw")[0]
        assert np.abs(seen - expected).max() < 0.001
        if size == (20, 24):
            assert np.abs(made(spec=spec, scale="raw")[0] - seen).max() > 20
        cropped = tf.keras.preprocessing.image.smart_resize(PIXELS, size)
        seen = made(spec=spec, antialias=False, scale="raw", fit="crop")[0]
        assert np.abs(seen - cropped).max() < 0.001


@pytest.mark.parametrize("name", APPLICATIONS)
def test_every_application_is_fed_as_keras_feeds_it(name: str) -> None:
    module = importlib.import_module(f"keras.applications.{name}")
    raw = made(scale="raw")
    # A copy, since some of them change what they are given.
    expected = module.preprocess_input(raw.copy())
    assert np.abs(made(scale=name) - expected).max() < 1e-4


def test_standardising_is_tensorflows_also_of_a_plain_picture() -> None:
    import tensorflow as tf

    for value in (VALUE, tiff(np.full((9, 9, 3), 77, np.uint8))):
        expected = tf.image.per_image_standardization(made(value, scale="raw")).numpy()
        assert np.abs(made(value, scale="standardise") - expected).max() < 1e-4


def test_no_number_leaves_the_range_of_pixels() -> None:
    edges = tiff(np.tile(np.array([0, 255] * 2, np.uint8).repeat(9), (36, 1)))
    for interpolation in ("bicubic", "lanczos"):
        seen = made(edges, interpolation=interpolation, scale="raw")
        assert (0, 255) == (seen.min(), seen.max())


@pytest.mark.parametrize("overlap", [0, 3, 11])
@pytest.mark.parametrize("size", [(16, 16), (16, 61), (47, 20), (100, 16), (100, 100)])
def test_tiles_cover_all_and_overlap_at_least_as_asked(size: tuple[int, int], overlap: int) -> None:
    places = np.arange(47 * 61, dtype=np.uint16).reshape(47, 61)
    height, width = min(size[0], 47), min(size[1], 61)
    spec = replace(SPEC, height_pixels=height, width_pixels=width)
    tiles = {"height_pixels": size[0], "width_pixels": size[1], "overlap_pixels": overlap}
    seen = made(
        tiff(places), spec, channels="grey", tiles={**tiles, "verdict": "mean"}, scale="unit"
    )
    found = (seen * 65535).round().astype(int).reshape(-1, height * width)
    assert set(range(47 * 61)) == set(found.flatten().tolist())
    lefts = sorted({int(tile[0]) % 61 for tile in found})
    assert all(right - left <= width - overlap for left, right in itertools.pairwise(lefts))


def tiled(verdict: str, background: str | None = "a", labels: tuple[str, ...] = "abc") -> Spec:
    tiles = TilesSettings(height_pixels=8, width_pixels=8, verdict=verdict, background=background)
    return replace(SPEC, labels=labels, preprocessing=PreprocessingSettings(tiles=tiles))


@pytest.mark.parametrize(
    ("verdict", "background", "expected"), [("max", "a", 1), ("any", "a", 2), ("mean", None, None)]
)
def test_the_verdict_of_a_picture_is_made_of_its_tiles(
    verdict: str, background: str | None, expected: int | None
) -> None:
    rows = np.array([[0.9, 0.1, 0], [0.45, 0.4, 0.15], [0.31, 0.35, 0.34]], np.float32)
    wanted = rows.mean(axis=0) if expected is None else rows[expected]
    assert np.array_equal(wanted, gathered(rows, tiled(verdict, background)))
    odd = np.vstack([rows, np.full((1, 3), np.nan, np.float32)])
    assert np.isnan(gathered(odd, tiled(verdict, background))).all()


@pytest.mark.parametrize(("background", "expected"), [("a", 0.8), ("b", 0.1)])
def test_one_output_stands_for_the_second_label(background: str, expected: float) -> None:
    rows = np.array([[0.5], [0.8], [0.1]], np.float32)
    spec = tiled("max", background, ("a", "b"))
    assert gathered(rows, spec) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"region": {"unit": "pixels", "left": 50, "width": 12, "height": 9}}, "50..62 x 0..9"),
        ({"channels": [3]}, "3 channels; preprocessing.channels asks for [3]"),
        (
            {
                "tiles": {
                    "height_pixels": 8,
                    "width_pixels": 8,
                    "overlap_pixels": 7,
                    "verdict": "mean",
                }
            },
            "tiles, at most",
        ),
    ],
)
def test_a_picture_that_does_not_fit_is_one_pictures_trouble(steps: Any, words: str) -> None:
    spec = replace(SPEC, preprocessing=PreprocessingSettings.model_validate(steps))
    refused = preprocess(VALUE, spec)
    assert isinstance(refused, Undecodable)
    assert refused.reason == Reason.UNFIT
    assert words in refused.detail
    assert MOST_TILES == 1024


def network(height: int = 8, width: int = 8, channels: int = 1, dtype: str = "float32") -> Any:
    """Say how bright the brightest pixel is: a scratch that no mean would show."""
    import tensorflow as tf

    entry = tf.keras.layers.Input((height, width, channels), dtype=dtype)
    shares = tf.keras.layers.Rescaling(1)(entry)
    brightest = tf.keras.layers.Reshape((channels,))(tf.keras.layers.GlobalMaxPooling2D()(shares))
    return tf.keras.Model(entry, brightest)


def saved(folder: Path, model: Any, **card: Any) -> ModelSettings:
    folder.mkdir(exist_ok=True)
    model.save(folder / "model.keras")
    (folder / "card.yaml").write_text(yaml.safe_dump({**CARD, **card}))
    return ModelSettings(path=str(folder))


def with_scratch(grey: int, at: tuple[int, int]) -> bytes:
    pixels = np.full((32, 40), 3000, np.uint16)
    pixels[at[0] : at[0] + 8, at[1] : at[1] + 8] = grey
    return tiff(pixels)


def test_a_16_bit_tiff_is_judged_by_its_region_at_full_depth(tmp_path: Path) -> None:
    steps = {"channels": "grey", "region": {"left": 16, "top": 8, "width": 16, "height": 16}}
    judge = read_judge(saved(tmp_path / "m", network(), preprocessing=steps))
    inside, outside = judge.judge([with_scratch(60_000, (12, 20)), with_scratch(60_000, (0, 0))])
    assert ("scratch", "good") == (inside.label, outside.label)
    assert json.loads(inside.outputs or "")["scratch"] == pytest.approx(60_000 / 65_535, abs=1e-4)
    assert json.loads(outside.outputs or "")["scratch"] == pytest.approx(3000 / 65_535, abs=1e-4)


def test_tiles_are_judged_each_and_make_one_verdict(tmp_path: Path) -> None:
    tiles = {"height_pixels": 8, "width_pixels": 8, "background": "good"}
    steps = {"channels": "grey", "tiles": tiles}
    judge = read_judge(saved(tmp_path / "m", network(), preprocessing=steps))
    values = [with_scratch(3000, (0, 0)), b"text", with_scratch(60_000, (24, 32))] * 5
    verdicts = judge.judge(values)
    assert ["good", None, "scratch"] * 5 == [verdict.label for verdict in verdicts]
    whole = read_judge(saved(tmp_path / "n", network(), preprocessing={"channels": "grey"}))
    assert whole.judge([values[2]])[0].label == "scratch"


@pytest.mark.parametrize("order", ["channels_last", "channels_first"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8"])
def test_a_model_of_any_order_and_type_is_fed_it(tmp_path: Path, order: str, dtype: str) -> None:
    import tensorflow as tf

    steps = {"channels": [0, 1], "order": order, "dtype": dtype, "scale": "raw"}
    shape = (8, 8, 2) if order == "channels_last" else (2, 8, 8)

    class Mean(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, *shape), dtype)])
        def serve(self, inputs: Any) -> Any:
            axis = 3 if order == "channels_last" else 1
            second = tf.gather(tf.cast(inputs, tf.float32), 1, axis=axis)
            return {"share": tf.reduce_mean(second, axis=(1, 2))[:, None] / 255}

    module = Mean()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    (tmp_path / "m" / "card.yaml").write_text(yaml.safe_dump({**CARD, "preprocessing": steps}))
    [verdict] = read_judge(ModelSettings(path=str(tmp_path / "m"))).judge(
        [tiff(np.full((9, 9, 3), (10, 204, 30), np.uint8))]
    )
    assert json.loads(verdict.outputs or "")["scratch"] == pytest.approx(0.8, abs=1e-3)


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ({"channels": "rgb"}, "the model takes 8 x 8 x 1; its card or the pipeline's file says"),
        ({"channels": "grey", "order": "channels_first"}, "1 x 8 x 8 (channels x height x width)"),
        (
            {
                "channels": "grey",
                "tiles": {"height_pixels": 8, "width_pixels": 8, "background": "hole"},
            },
            "tiles.background is 'hole', and no label: good, scratch",
        ),
    ],
)
def test_what_does_not_fit_the_model_is_found_without_running_it(
    tmp_path: Path, steps: Any, words: str
) -> None:
    settings = saved(tmp_path / "m", network(), preprocessing=steps)
    with pytest.raises(ModelMismatch) as caught:
        checking.check_model(settings)
    assert words in str(caught.value)
    assert "preprocessing" in caught.value.remedy


@pytest.mark.parametrize("preprocessing", ["unit", "signed", {"scale": "unit"}])
def test_shares_are_not_fed_to_a_model_of_whole_numbers(tmp_path: Path, preprocessing: Any) -> None:
    """Cast to whole numbers nearly all of them would be 0, and every picture black."""
    import tensorflow as tf

    class Brightness(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 3), tf.uint8)])
        def serve(self, pixels: Any) -> Any:
            return {"share": tf.reduce_mean(tf.cast(pixels, tf.float32), (1, 2, 3))[:, None] / 255}

    module = Brightness()
    tf.saved_model.save(module, str(tmp_path / "m"), signatures=module.serve)
    card = {**CARD, "preprocessing": preprocessing}
    (tmp_path / "m" / "card.yaml").write_text(yaml.safe_dump(card))
    with pytest.raises(ModelMismatch, match="its input is uint8; preprocessing gives it float32"):
        read_judge(ModelSettings(path=str(tmp_path / "m")))


PARITY = {"picture": "sample.tif", "inputs": "inputs.npy", "outputs": "outputs.npy"}


def with_parity(folder: Path, **changes: Any) -> ModelSettings:
    """Write what training would keep: a picture, what it was fed as, and what came out."""
    steps = {"channels": "grey", "antialias": False}
    settings = saved(folder, network(), preprocessing=steps)
    (folder / "sample.tif").write_bytes(tiff(PIXELS[..., 0]))
    inputs = preprocess((folder / "sample.tif").read_bytes(), card_spec(folder / "card.yaml"))
    np.save(folder / "inputs.npy", inputs)
    np.save(folder / "outputs.npy", np.asarray(inputs).max(axis=(1, 2)))
    saved(folder, network(), preprocessing={**steps, **changes}, parity=[PARITY])
    return settings


def test_a_model_that_is_fed_and_answers_as_in_training_passes(tmp_path: Path) -> None:
    settings = with_parity(tmp_path / "m")
    check_model(settings)
    assert read_judge(settings).digest == judge_digest(settings)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"antialias": True}, "inputs of sample.tif are up to "),
        ({"scale": "signed"}, "allowed is 1e-06"),
        ({"interpolation": "nearest", "antialias": True}, "inputs of sample.tif are up to "),
    ],
)
def test_another_way_to_feed_it_is_told_before_anything_runs(
    tmp_path: Path, changes: Any, words: str
) -> None:
    settings = with_parity(tmp_path / "m", **changes)
    with pytest.raises(ModelMismatch) as caught:
        checking.check_model(settings)
    assert words in str(caught.value)
    assert "Preprocess as training did" in caught.value.remedy


def test_other_outputs_are_told_where_a_model_is_checked_and_where_it_is_loaded(
    tmp_path: Path,
) -> None:
    settings = with_parity(tmp_path / "m")
    np.save(tmp_path / "m" / "outputs.npy", np.array([[0.5]], np.float32))
    for check in (check_model, read_judge):
        with pytest.raises(ModelMismatch, match=r"parity: outputs of sample\.tif are up to"):
            check(settings)


@pytest.mark.parametrize("lost", ["sample.tif", "inputs.npy"])
def test_a_lost_file_of_parity_is_said(tmp_path: Path, lost: str) -> None:
    settings = with_parity(tmp_path / "m")
    (tmp_path / "m" / lost).unlink()
    with pytest.raises(ModelMismatch, match=lost):
        checking.check_model(settings)


def test_the_example_trains_a_model_that_a_pipeline_takes_as_it_is(tmp_path: Path) -> None:
    example = runpy.run_path(str(ROOT / "docs/examples/train_press.py"))
    rng = np.random.default_rng(5)
    for label in example["LABELS"]:
        (tmp_path / label).mkdir()
        for number in range(24):
            pixels = rng.integers(20_000, 22_000, (48, 96), np.uint16)
            # Outside the region, where it says nothing.
            pixels[:, : 20 + number % 4] = rng.integers(0, 65_536)
            if label == "scratch":
                row = rng.integers(4, 44)
                pixels[row : row + 3, 30:66] = 60_000
            (tmp_path / label / f"{number}.tif").write_bytes(tiff(pixels))
    assert example["main"](tmp_path, tmp_path / "model") > 0.95
    settings = ModelSettings(path=str(tmp_path / "model"))
    check_model(settings)
    pictures = [tmp_path / label / "3.tif" for label in example["LABELS"]]
    verdicts = read_judge(settings).judge([picture.read_bytes() for picture in pictures])
    assert list(example["LABELS"]) == [verdict.label for verdict in verdicts]


FAR_OUT = {"channels": "grey", "region": {"left": 900, "width": 99, "height": 99}}


def job_of(settings: ModelSettings) -> JudgeJob:
    kafka = KafkaConnection(conn_id="plant_kafka", options={"bootstrap.servers": "127.0.0.1:1"})
    return JudgeJob(
        "press-a", "press-a", kafka, (OffsetRange(0, 0, 1),), "filename", settings, 1, 1
    )


@pytest.mark.parametrize(
    "model", [{"preprocessing": FAR_OUT}, {"pictures": {"formats": ["tiff"]}}], ids=str
)
def test_a_control_that_could_never_pass_is_refused_before_anything_runs(
    tmp_path: Path, model: dict[str, Any]
) -> None:
    """Otherwise each bad batch would be the world's trouble, and block its pipeline for ever."""
    saved(tmp_path / "m", network(), control=[{"picture": "good.png", "label": "good"}])
    (tmp_path / "m" / "good.png").write_bytes(
        cv2.imencode(".png", PIXELS[..., 0] // 9)[1].tobytes()
    )
    check_model(ModelSettings(path=str(tmp_path / "m")))
    settings = ModelSettings.model_validate({"path": str(tmp_path / "m"), **model})
    for check in (check_model, read_judge):
        with pytest.raises(ModelMismatch, match=r"control: good\.png cannot be judged") as caught:
            check(settings)
        assert "model.pictures" in caught.value.remedy


@pytest.mark.parametrize(
    "model",
    [
        {},
        {"preprocessing": FAR_OUT},
        {"preprocessing": {"channels": [4]}},
        {"pictures": {"formats": ["tiff"]}},
        {"pictures": {"formats": ["raw"], "raw": {"height_pixels": 9, "width_pixels": 9}}},
    ],
    ids=str,
)
def test_a_model_without_controls_proves_itself_whatever_its_pipeline_takes(
    tmp_path: Path, model: dict[str, Any]
) -> None:
    saved(tmp_path / "m", network())
    settings = ModelSettings.model_validate({"path": str(tmp_path / "m"), **model})
    [(label, verdict)] = _control_verdicts(read_judge(settings))
    assert label is None
    assert verdict.label is not None
