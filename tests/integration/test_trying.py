"""Local files are judged as a pipeline would; a page shows them; a first card is drafted."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from fixtures.judging import MODEL, surface
from fixtures.spark import OWN_JUDGES
from PIL import Image
from typer.testing import CliRunner

from frameferry.cli.main import app
from frameferry.config.settings import ModelSettings
from frameferry.domain.records import ImageRecord
from frameferry.errors import ConfigError, FrameferryError, JudgingFailed, ModelMismatch
from frameferry.inference.judge import load_judge
from frameferry.spark import worker
from frameferry.spark.route import check_model

HOSTILE = "<img src=x onerror=alert(1)>\u202egpj.jpg"
SAID = ("label", "score", "value", "unit", "reason", "detail", "size_bytes", "sha256")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipelines").mkdir()
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(tmp_path / "pipelines"))
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(2):
        (pictures / f"{number}.jpg").write_bytes(surface(number))
    (pictures / "2 cut.jpg").write_bytes(surface(2)[:-500])
    (pictures / "3 empty").touch()
    return tmp_path


def write(folder: Path, model: Any, **more: Any) -> None:
    content = {
        "pipeline": "press-a",
        "kafka": {"connection": "plant_kafka", "topic": "press-a.images"},
        "model": model,
        "deliver": {"connection": "archive_ftp", "base": "/press-a", **more},
    }
    (folder / "pipelines" / "press-a.yaml").write_text(yaml.safe_dump(content))


def run(*words: str | Path) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    if done.exception is not None:
        raise done.exception
    return done.stdout


def refusal(kind: type[FrameferryError], *words: str | Path) -> str:
    with pytest.raises(kind) as caught:
        run(*words)
    assert caught.value.remedy
    return str(caught.value)


def test_what_is_said_of_files_is_what_a_worker_says_of_records(folder: Path) -> None:
    write(folder, {"path": str(MODEL)})
    rows = json.loads(run("judge", "press-a", folder / "pictures", "--json"))
    files = [Path(row["file"]) for row in rows]
    assert ["0.jpg", "1.jpg", "2 cut.jpg", "3 empty"] == [file.name for file in files]
    judge = load_judge(ModelSettings(path=str(MODEL)))
    images = [ImageRecord(0, at, 0, None, file.read_bytes()) for at, file in enumerate(files)]
    expected = worker._judged(judge, images, worker._Waits(0.0, 0.0, 0.0)).to_pylist()
    for row, record in zip(rows, expected, strict=True):
        told = record["outputs"] and json.loads(record["outputs"])
        assert {**{name: record[name] for name in SAID}, "outputs": told} == {
            name: row[name] for name in (*SAID, "outputs")
        }
    becomes = [row["becomes"] for row in rows]
    assert ["delivered", "delivered", "quarantined: truncated", "quarantined: empty"] == becomes


def test_what_becomes_of_a_file_follows_the_pipelines_own_words(folder: Path) -> None:
    write(folder, {"path": str(MODEL), "unjudged": "deliver"}, empty="deliver")
    rows = json.loads(run("judge", "press-a", folder / "pictures", "--json"))
    assert 2 == sum(row["becomes"] == "delivered, unjudged" for row in rows)
    assert "unit" not in run("judge", "press-a", folder / "pictures/0.jpg")


def test_a_page_shows_pictures_drawn_anew_and_runs_nothing_of_a_files_name(folder: Path) -> None:
    write(folder, {"path": str(MODEL)})
    (folder / "pictures" / HOSTILE).write_bytes(surface(3))
    page = folder / "page.html"
    run("judge", "press-a", folder / "pictures", "--html", page)
    text = page.read_text(encoding="utf-8")
    assert "<img src=x" not in text
    assert "&lt;img src=x onerror=alert(1)&gt;\\u202egpj.jpg" in text
    assert "default-src 'none'" in text
    drawn = [base64.b64decode(one) for one in re.findall(r"image/png;base64,([^\"]+)", text)]
    sizes = [Image.open(io.BytesIO(one)).size for one in drawn]
    assert [(160, 120), (96, 96)] * 3 == sizes[:4] + sizes[-2:]


def test_what_cannot_be_judged_here_is_said(folder: Path) -> None:
    pictures = folder / "pictures"
    write(folder, "none")
    assert "judges nothing" in refusal(ConfigError, "judge", "press-a", pictures)
    write(folder, {"path": str(MODEL)})
    gone = refusal(ConfigError, "judge", "press-a", folder / "gone.jpg")
    assert "gone.jpg cannot be read: No such file" in gone
    nowhere = folder / "no" / "page.html"
    told = refusal(ConfigError, "judge", "press-a", pictures / "0.jpg", "--html", nowhere)
    assert "cannot be written" in told
    write(folder, {"path": str(folder / "no-model")})
    assert "there is no model" in refusal(ModelMismatch, "judge", "press-a", pictures)


def test_a_class_of_ones_own_judges_files_and_the_guilty_one_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(OWN_JUDGES))
    write(folder, {"judge": "wayward:Prints"})
    rows = json.loads(run("judge", "press-a", folder / "pictures", "--json"))
    assert ["B", "B", "B", None] == [row["unit"] for row in rows]
    assert "unit" in run("judge", "press-a", folder / "pictures/0.jpg")
    write(folder, {"judge": "wayward:Raises"})
    (folder / "pictures" / "1.jpg").write_bytes(surface(1) + b"#raises#")
    told = refusal(JudgingFailed, "judge", "press-a", folder / "pictures")
    assert "1.jpg: model.judge: judge raised ValueError: cannot reshape" in told


def test_two_judges_are_compared_file_by_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(OWN_JUDGES))
    write(folder, {"path": str(MODEL), "threshold": 0.4})
    words = ("model", "compare", "press-a", "wayward:Judge", folder / "pictures")
    rows = json.loads(run(*words, "--json"))
    assert [False, False, False, True] == [row["same"] for row in rows]
    assert ("(truncated)", "long", "(empty)") == (rows[2]["own"], rows[2]["other"], rows[3]["own"])
    shown = run(*words)
    assert "1 from (truncated) to long" in shown
    assert "1 of 4 files are judged alike" in shown
    alike = run("model", "compare", "press-a", MODEL, folder / "pictures")
    assert "4 of 4 files are judged alike" in alike
    assert "differing" not in alike


def test_a_drafted_card_asks_for_what_only_people_know(tmp_path: Path) -> None:
    shutil.copy(MODEL / "model.keras", tmp_path / "model.keras")
    settings = ModelSettings(path=str(tmp_path))
    run("model", "card", tmp_path / "model.keras")
    card = tmp_path / "card.yaml"
    with pytest.raises(ModelMismatch, match=r"preprocessing\.word: .*output: "):
        check_model(settings)
    assert "is there already" in refusal(ConfigError, "model", "card", tmp_path / "model.keras")
    text = card.read_text()
    assert "height_pixels: 96\n  width_pixels: 96" in text
    filled = text.replace("preprocessing: FILL-IN", "preprocessing: unit")
    card.write_text(filled.replace("output: FILL-IN", "output: softmax"))
    check_model(settings)
    assert str(load_judge(settings).judge([surface(1)])[0].label).startswith("label-")


def test_a_draft_names_each_output_of_a_signature(tmp_path: Path) -> None:
    import tensorflow as tf

    made = tf.Module()
    made.serve = tf.function(
        lambda image: {"boxes": tf.zeros((1, 5, 4)), "width": tf.reduce_mean(image)},
        input_signature=[tf.TensorSpec((None, None, None, 3), tf.float32, name="image")],
    )
    tf.saved_model.save(made, str(tmp_path / "m"), signatures={"serve": made.serve})
    run("model", "card", tmp_path / "m")
    text = (tmp_path / "m" / "card.yaml").read_text()
    assert "input:  # image: any x any x 3\n  height_pixels: FILL-IN" in text
    assert "  boxes:  # 5 x 4\n    kind: FILL-IN" in text
    assert "there is no model" in refusal(ModelMismatch, "model", "card", tmp_path / "gone")
