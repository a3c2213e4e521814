"""A short training on real TensorFlow: what it writes works, and nothing good is overwritten."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from frameferry.config.settings import ModelSettings
from frameferry.demo.surfaces import samples
from frameferry.demo.training import Recipe, main, train
from frameferry.errors import ModelMismatch
from frameferry.inference.checking import check_model
from frameferry.inference.judge import read_judge

SURFACE = Path(__file__).parents[2] / "include/models/surface/1"
SHORT = Recipe(pictures=64, tested=24, epochs=1, input_pixels=48, least_accuracy=0)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], float]:
    folder, told = tmp_path_factory.mktemp("models") / "surface" / "1", []
    began = time.monotonic()
    train(folder, SHORT, told.append)
    return folder, told, time.monotonic() - began


def test_a_short_training_ends_soon_and_tells_its_steps(
    trained: tuple[Path, list[str], float],
) -> None:
    _, told, seconds = trained
    assert seconds < 120
    assert told[0] == "making 64 pictures"
    assert told[1].startswith("epoch 1 of 1: loss ")
    assert told[2] == "testing on 24 fresh pictures"


def test_what_it_writes_can_be_checked_loaded_and_asked(
    trained: tuple[Path, list[str], float],
) -> None:
    folder, _, _ = trained
    settings = ModelSettings(path=str(folder))
    check_model(settings)
    verdicts = read_judge(settings).judge([value for _, value in samples(3, 4)])
    assert all(verdict.label for verdict in verdicts)
    card = yaml.safe_load((folder / "card.yaml").read_text())
    assert card["input"] == {"height_pixels": 48, "width_pixels": 48}
    assert card["metrics"]["tested_seed"] != card["metrics"]["trained_seed"]
    assert not list(folder.rglob(".*"))


def test_the_same_recipe_makes_the_same_model(
    trained: tuple[Path, list[str], float], tmp_path: Path
) -> None:
    folder, told, _ = trained
    again: list[str] = []
    train(tmp_path, SHORT, again.append)
    assert again == told
    cards = [yaml.safe_load((place / "card.yaml").read_text()) for place in (folder, tmp_path)]
    assert cards[0]["metrics"] == cards[1]["metrics"]


def test_a_worse_model_replaces_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "surface"
    shutil.copytree(SURFACE, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(ModelMismatch, match="the new model is worse"):
        train(folder, SHORT, lambda _: None)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_model_that_is_not_good_enough_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ModelMismatch, match=r"not 0\.95"):
        train(tmp_path / "new", replace(SHORT, least_accuracy=0.95), lambda _: None)
    assert not (tmp_path / "new").exists()


def test_the_command_line_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "--into" in capsys.readouterr().out
