from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.card import effective, find_model, read_card
from frameferry.inference.versions import at_newest

CARD = {
    "input": {"height_pixels": 96, "width_pixels": 128},
    "preprocessing": "signed",
    "labels": ["good", "bad"],
    "output": "softmax",
    "unsure": "unsure",
}


def folder_with(tmp_path: Path, card: dict[str, object] | None, *models: str) -> Path:
    for model in models:
        path = tmp_path / model
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"made up")
    if card is not None:
        (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    return tmp_path


def refusal(path: Path | str, **settings: object) -> ModelMismatch:
    with pytest.raises(ModelMismatch) as caught:
        effective(find_model(str(path)), ModelSettings(path=str(path), **settings))
    assert caught.value.remedy
    assert caught.value.where.model
    return caught.value


SURFACE = Path(__file__).parents[2] / "include/models/surface/1"


def test_the_committed_card_says_all_that_is_needed() -> None:
    found = find_model(str(SURFACE))
    spec = effective(found, ModelSettings(path=str(SURFACE)))
    assert spec.labels == ("good", "scratch", "hole", "stain")
    assert spec.output == "softmax"
    assert found.card.metrics["accuracy"] >= 0.98
    assert found.card.digest
    assert found.card.data
    assert found.card.licence
    assert "make model" in found.card.retrain


def test_the_committed_folder_is_small_and_its_control_pictures_are_there() -> None:
    sizes = [path.stat().st_size for path in SURFACE.rglob("*") if path.is_file()]
    assert sum(sizes) < 1_000_000
    labels = [label for label, value in find_model(str(SURFACE)).control_pictures() if value]
    assert labels == ["good", "scratch", "hole", "stain"]


@pytest.mark.parametrize("named", ["", "model.keras"])
def test_a_card_is_found_from_its_folder_and_from_its_model(tmp_path: Path, named: str) -> None:
    folder = folder_with(tmp_path, CARD, "model.keras")
    found = find_model(str(folder / named))
    assert found.path == folder / "model.keras"
    assert found.kind == "keras"
    assert effective(found, ModelSettings(path="x")).width_pixels == 128


@pytest.mark.parametrize(
    "card_place", ["saved/card.yaml", "card.yaml"], ids=["inside the model", "beside it"]
)
def test_a_saved_model_finds_its_card(tmp_path: Path, card_place: str) -> None:
    folder = folder_with(tmp_path, None, "saved/saved_model.pb")
    (folder / card_place).write_text(yaml.safe_dump(CARD))
    found = find_model(str(folder / "saved"))
    assert found.kind == "saved_model"
    assert found.card_path == folder / card_place


def test_a_card_that_names_another_model_is_not_this_models_card(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {**CARD, "model": "new.keras"}, "old.keras", "new.keras")
    assert find_model(str(folder / "old.keras")).card_path is None
    assert find_model(str(folder)).path == folder / "new.keras"


def test_settings_win_over_the_card(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, CARD, "model.keras")
    settings = ModelSettings(
        path=str(folder),
        threshold=0.7,
        input_height_pixels=32,
        preprocessing="raw",
        labels=("a", "b", "c"),
        output="sigmoid",
        max_pixels=5,
    )
    spec = effective(find_model(str(folder)), settings)
    assert (spec.height_pixels, spec.width_pixels) == (32, 128)
    assert (spec.preprocessing, spec.labels, spec.output) == ("raw", ("a", "b", "c"), "sigmoid")
    assert (spec.threshold, spec.max_pixels, spec.unsure) == (0.7, 5, "unsure")


def test_a_model_without_a_card_needs_all_in_the_settings(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, None, "model.keras")
    error = refusal(folder / "model.keras", preprocessing="unit", input_width_pixels=64)
    assert error.what.endswith("says: input_height_pixels, labels, output")
    settings = ModelSettings(
        path=str(folder),
        input_height_pixels=64,
        input_width_pixels=64,
        preprocessing="unit",
        labels=("a", "b"),
        output="logits",
    )
    assert effective(find_model(str(folder)), settings).unsure is None


def test_no_model_names_the_path(tmp_path: Path) -> None:
    assert str(tmp_path / "gone") in str(refusal(tmp_path / "gone"))
    assert "hdfs://models/1" in str(refusal("hdfs://models/1"))


def test_a_folder_without_a_model_says_what_it_holds(tmp_path: Path) -> None:
    assert "found: none" in str(refusal(tmp_path))
    folder_with(tmp_path, None, "a.keras", "b.keras")
    assert "found: a.keras, b.keras" in str(refusal(tmp_path))


def test_other_files_are_no_models(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, None, "model.h5")
    assert "model.save('model.keras')" in str(refusal(folder / "model.h5"))
    folder_with(tmp_path, {**CARD, "model": "model.h5"}, "model.h5")
    assert "model.save('model.keras')" in str(refusal(folder))


@pytest.mark.parametrize(
    ("card", "words"),
    [
        ({"ouput": "softmax"}, "ouput: Extra inputs"),
        ({"input": {"height_pixels": 0, "width_pixels": 5}}, "input.height_pixels"),
        ({"model": "../other.keras"}, "model"),
        ({"model": "/etc/passwd"}, "model"),
        ({"labels": ["good", "b\nad"]}, "labels.1"),
        ({"digest": "abc"}, "digest"),
        ({"output": "percent"}, "output"),
    ],
)
def test_a_wrong_card_names_the_key(tmp_path: Path, card: dict[str, object], words: str) -> None:
    folder = folder_with(tmp_path, card, "model.keras")
    error = refusal(folder)
    assert words in str(error)
    assert "card.yaml" in str(error)


def test_a_card_that_is_no_yaml_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text("labels: [good\noutput: :")
    with pytest.raises(ModelMismatch) as caught:
        read_card(tmp_path / "card.yaml")
    assert "\n" not in str(caught.value)


def test_labels_named_twice_are_refused(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, {**CARD, "labels": ["good", "bad", "good"]}, "model.keras")
    assert "name good twice" in str(refusal(folder))


@pytest.mark.parametrize("label", ["", "b\nad", "x" * 61])
def test_odd_labels_from_the_settings_are_refused(tmp_path: Path, label: str) -> None:
    folder = folder_with(tmp_path, CARD, "model.keras")
    assert "is no label" in str(refusal(folder, labels=("good", label)))


def test_of_numbered_folders_the_highest_counts(tmp_path: Path) -> None:
    folder_with(tmp_path, None, *(f"{version}/model.keras" for version in ("2", "10", "9", ".11")))
    for version in ("2", "10"):
        folder_with(tmp_path / version, CARD)
    assert tmp_path / "10" / "model.keras" == find_model(str(tmp_path)).path
    placed = at_newest(ModelSettings(path=str(tmp_path)))
    assert str(tmp_path / "10") == placed.path
    assert placed == at_newest(placed)


def test_no_older_version_takes_the_place_of_one_that_is_not_whole(tmp_path: Path) -> None:
    folder_with(tmp_path, None, "1/model.keras")
    (tmp_path / "2").mkdir()
    assert f"{tmp_path / '2'}: the folder should hold one model" in str(refusal(tmp_path))


def test_a_model_with_numbered_folders_beside_it_has_no_versions(tmp_path: Path) -> None:
    folder_with(tmp_path, CARD, "model.keras", "7/model.keras")
    assert tmp_path / "model.keras" == find_model(str(tmp_path)).path
    (tmp_path / "card.yaml").unlink()
    assert tmp_path / "model.keras" == find_model(str(tmp_path)).path


def test_a_lost_control_picture_is_said(tmp_path: Path) -> None:
    control = [{"picture": "control/good.jpg", "label": "good"}]
    folder = folder_with(tmp_path, {**CARD, "control": control}, "model.keras")
    with pytest.raises(ModelMismatch, match="control picture"):
        find_model(str(folder)).control_pictures()
