from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import pytest
import yaml

from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.card import find_model
from frameferry.inference.checking import check_model
from frameferry.inference.digest import content_digest, judge_digest

SURFACE = Path(__file__).parents[2] / "include/models/surface/1"
CARD = {
    "input": {"height_pixels": 8, "width_pixels": 8},
    "preprocessing": "unit",
    "labels": ["good", "bad"],
    "output": "softmax",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.keras").write_bytes(b"weights")
    write_card(folder)
    return folder


def write_card(folder: Path, **changes: object) -> None:
    (folder / "card.yaml").write_text(yaml.safe_dump({**CARD, **changes}))


def digest_of(folder: Path, **settings: object) -> str:
    return judge_digest(ModelSettings(path=str(folder), **settings))


def test_it_is_a_sha256_and_the_same_wherever_the_model_lies(folder: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(folder, tmp_path / "elsewhere")
    assert digest_of(folder) == digest_of(elsewhere)
    assert len(digest_of(folder)) == 64


def test_what_only_people_read_does_not_count(folder: Path) -> None:
    before = digest_of(folder)
    write_card(folder, data="Photographs of last year.", metrics={"accuracy": 0.99})
    assert digest_of(folder) == before
    assert digest_of(folder, unjudged="deliver") == before


@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 0.6},
        {"preprocessing": "signed"},
        {"labels": ("bad", "good")},
        {"output": "logits"},
        {"input_width_pixels": 9},
        {"max_pixels": 100},
        {"max_image_bytes": 100},
        {"grey_bits": 12},
        {"preprocessing": {"scale": "unit"}},
        {"pictures": {"formats": ["png"]}},
        {"pictures": {"page": 1}},
        {"pictures": {"orientation": "ignore"}},
    ],
)
def test_whatever_decides_a_verdict_counts(folder: Path, settings: dict[str, object]) -> None:
    assert digest_of(folder, **settings) != digest_of(folder)


def test_every_step_of_preprocessing_counts(folder: Path) -> None:
    tiles = {"height_pixels": 9, "width_pixels": 9, "background": "good"}
    other: list[dict[str, object]] = [
        {},
        {"region": {"width": 9, "height": 9}},
        {"region": {"width": 9, "height": 8}},
        {"channels": "bgr"},
        {"channels": [0, 1, 2]},
        {"tiles": tiles},
        {"tiles": {**tiles, "verdict": "any"}},
        {"fit": "letterbox"},
        {"fit": "letterbox", "fill": [7]},
        {"interpolation": "nearest"},
        {"antialias": False},
        {"scale": "mobilenet_v2"},
        {"mean": [0.5]},
        {"std": [0.5]},
        {"dtype": "float16"},
        {"order": "channels_first"},
    ]
    digests = {digest_of(folder, preprocessing=steps) for steps in other}
    assert len(other) == len(digests)
    write_card(folder, preprocessing=other[-1])
    assert digest_of(folder) in digests


def test_said_in_the_card_or_in_the_settings_is_the_same(folder: Path) -> None:
    in_settings = digest_of(folder, output="logits")
    write_card(folder, output="logits")
    assert digest_of(folder) == in_settings


def test_one_changed_byte_counts(folder: Path) -> None:
    before = digest_of(folder)
    (folder / "model.keras").write_bytes(b"weighty")
    assert digest_of(folder) != before


def test_a_keras_files_content_digest_is_its_sha256(folder: Path) -> None:
    expected = hashlib.sha256(b"weights").hexdigest()
    assert content_digest(find_model(str(folder))) == expected


def test_a_saved_models_content_digest_is_that_of_sha256sums_lines(tmp_path: Path) -> None:
    files = {"saved_model.pb": b"graph", "variables/variables.index": b"index"}
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "notes.txt").write_text("not loaded, so not counted")
    lines = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in files.items()
    )
    assert content_digest(find_model(str(tmp_path))) == hashlib.sha256(lines.encode()).hexdigest()


def test_the_copy_is_what_was_digested(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    digest = content_digest(find_model(str(folder)), copy)
    assert hashlib.sha256((copy / "model.keras").read_bytes()).hexdigest() == digest


def test_a_card_pins_its_models_content(folder: Path) -> None:
    write_card(folder, digest=hashlib.sha256(b"weights").hexdigest())
    assert digest_of(folder)
    (folder / "model.keras").write_bytes(b"weighty")
    with pytest.raises(ModelMismatch, match="the model file changed"):
        digest_of(folder)


def test_the_committed_model_is_whole() -> None:
    check_model(ModelSettings(path=str(SURFACE)))


def test_a_file_that_is_no_keras_file_is_found_without_tensorflow(folder: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"no \.keras file"):
        check_model(ModelSettings(path=str(folder)))


def test_an_input_that_does_not_fit_is_found_without_tensorflow() -> None:
    settings = ModelSettings(path=str(SURFACE), input_height_pixels=64)
    with pytest.raises(ModelMismatch) as caught:
        check_model(settings)
    assert "takes 96 x 96 x 3" in str(caught.value)
    assert "says 64 x 96 x 3" in str(caught.value)
    assert str(SURFACE) in str(caught.value)
