"""Combinations that cannot be meant are refused by file and key, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from frameferry.config.settings import load_pipeline
from frameferry.errors import ConfigError

PIPELINE: dict[str, Any] = {
    "pipeline": "press-a",
    "kafka": {"connection": "plant_kafka", "topic": "press-a.images"},
    "deliver": {"connection": "archive_ftp", "base": "/press-a"},
}
TILES = {"height_pixels": 64, "width_pixels": 64, "background": "good"}


def written(tmp_path: Path, **model: Any) -> Path:
    path = tmp_path / "press-a.yaml"
    path.write_text(yaml.safe_dump({**PIPELINE, "model": {"path": "m", **model}}))
    return path


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            {"preprocessing": "half"},
            "model.preprocessing: Input should be 'unit', 'signed' or 'raw'",
        ),
        ({"preprocessing": 3}, "model.preprocessing: Input should be a valid dictionary"),
        ({"preprocessing": {"roi": {}}}, "model.preprocessing.roi: Extra inputs"),
        ({"preprocessing": {"region": {"width": 9.5, "height": 9}}}, "region: pixels are whole"),
        (
            {
                "preprocessing": {
                    "region": {"unit": "share", "left": 0.6, "width": 0.5, "height": 1}
                }
            },
            "model.preprocessing.region: region: left + width",
        ),
        ({"preprocessing": {"channels": []}}, "channels: list at least one"),
        ({"preprocessing": {"channels": [64]}}, "channels: list at least one, from 0 to 63"),
        ({"preprocessing": {"channels": "grey", "mean": [1, 2, 3]}}, "mean has 3 numbers"),
        ({"preprocessing": {"std": [0.5, 0.5]}}, "std has 2 numbers"),
        (
            {"preprocessing": {"std": [0]}},
            "model.preprocessing.std.0: Input should be greater than",
        ),
        ({"preprocessing": {"fill": [256]}}, "model.preprocessing.fill.0"),
        ({"preprocessing": {"fill": [1, 2]}}, "fill has 2 numbers"),
        ({"preprocessing": {"antialias": False, "interpolation": "bicubic"}}, "antialias: false"),
        ({"preprocessing": {"scale": "vgg16", "channels": "bgr"}}, "scale: vgg16 goes with"),
        ({"preprocessing": {"scale": "vgg16", "mean": [1]}}, "scale: vgg16 goes with"),
        ({"preprocessing": {"dtype": "uint8"}}, "dtype: uint8 goes with scale: raw"),
        ({"preprocessing": {"tiles": {**TILES, "overlap_pixels": 64}}}, "tiles.overlap_pixels"),
        ({"preprocessing": {"tiles": {**TILES, "verdict": "mean"}}}, "tiles.background"),
        ({"preprocessing": {"tiles": {**TILES, "background": None}}}, "tiles.background"),
        ({"pictures": {"formats": []}}, "model.pictures.formats"),
        ({"pictures": {"formats": ["tif"]}}, "model.pictures.formats.0: Input should be 'jpeg'"),
        ({"pictures": {"formats": ["png", "png"]}}, "formats names one twice"),
        ({"pictures": {"formats": ["raw"]}}, "raw frames need both"),
        (
            {"pictures": {"raw": {"height_pixels": 9, "width_pixels": 9}}},
            "raw frames need both",
        ),
        (
            {
                "pictures": {
                    "formats": ["raw", "png"],
                    "raw": {"height_pixels": 9, "width_pixels": 9},
                }
            },
            "raw stands alone",
        ),
        ({"pictures": {"page": -1}}, "model.pictures.page"),
        ({"pictures": {"unpack": ["zip"]}}, "model.pictures.unpack.0"),
    ],
)
def test_what_cannot_be_meant_names_file_and_key(
    tmp_path: Path, model: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(written(tmp_path, **model))
    assert "press-a.yaml: model." in str(caught.value)
    assert words in str(caught.value)
    assert caught.value.remedy


def test_all_of_it_together_is_read(tmp_path: Path) -> None:
    steps = {
        "region": {"unit": "share", "left": 0.1, "top": 0.1, "width": 0.8, "height": 0.8},
        "channels": [0, 2],
        "tiles": {**TILES, "overlap_pixels": 16},
        "fit": "letterbox",
        "fill": [114],
        "interpolation": "lanczos",
        "scale": "standardise",
        "dtype": "float16",
        "order": "channels_first",
    }
    pictures = {"formats": ["tiff", "npy"], "unpack": ["zstd"], "page": 2, "orientation": "ignore"}
    model = load_pipeline(written(tmp_path, preprocessing=steps, pictures=pictures)).model
    assert model != "none"
    assert model.preprocessing is not None
    assert not isinstance(model.preprocessing, str)
    assert model.preprocessing.channel_count == 2
    assert model == type(model).model_validate_json(model.model_dump_json())
    assert hash(model) == hash(type(model).model_validate(model.model_dump()))
