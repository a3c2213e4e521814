"""A class of yours is found and digested without running it, and what it says is looked at."""

from __future__ import annotations

import io
import os
import py_compile
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from frameferry.config.settings import ModelSettings
from frameferry.errors import ModelMismatch
from frameferry.inference.checking import check_model
from frameferry.inference.digest import is_here, judge_digest
from frameferry.inference.own import PictureJudge, Unjudged, Verdict
from frameferry.inference.own import code as finding
from frameferry.inference.own.code import find_code
from frameferry.inference.own.judge import load_own
from frameferry.inference.own.saying import flaw_of

SOURCE = """
from frameferry.inference.own import Unjudged, Verdict
from {package}.words import LABEL

class Judge:
    def load(self):
        print("loaded")

    def judge(self, pictures):
        return [Verdict(label=LABEL, score=0.5, value=len(one), unit="B") for one in pictures]
"""


@pytest.fixture
def package(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A package of this test's own name, on the path."""
    name = f"yours_{abs(hash(request.node.nodeid))}"
    folder = tmp_path / name
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "words.py").write_text("LABEL = 'one'\n")
    (folder / "looking.py").write_text(SOURCE.format(package=name))
    sys.path.insert(0, str(tmp_path))
    yield folder
    sys.path.remove(str(tmp_path))
    for module in [one for one in sys.modules if one.partition(".")[0] == name]:
        del sys.modules[module]


def named(package: Path, attribute: str = "Judge", **settings: Any) -> ModelSettings:
    return ModelSettings(judge=f"{package.name}.looking:{attribute}", **settings)


def refusal(settings: ModelSettings) -> str:
    with pytest.raises(ModelMismatch) as caught:
        load_own(settings)
    assert caught.value.remedy
    assert settings.judge == caught.value.where.model
    message = str(caught.value)
    assert "model.judge: " in message
    assert "\n" not in message
    return message


def test_it_judges_and_prints_beside_the_output(package: Path, capfd: Any) -> None:
    judge = load_own(named(package))
    one, empty, large = judge.judge([b"text", b"", b"x" * 51 * 1024**2])
    assert ("one", 0.5, 4.0, "B", None) == (one.label, one.score, one.value, one.unit, one.reason)
    assert ("empty", "too large") == (empty.reason, large.reason)
    assert ("", "loaded\n") == tuple(capfd.readouterr())


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_more_pixels_than_are_allowed_are_told_by_the_header_alone(
    package: Path, kind: str
) -> None:
    target = io.BytesIO()
    Image.new("L", (30, 20)).save(target, kind)
    judge = load_own(named(package, max_pixels=599))
    [large] = judge.judge([target.getvalue()])
    assert ("too many pixels", "30 x 20 = 600 pixels, at most 599") == (large.reason, large.detail)
    [fit] = load_own(named(package, max_pixels=600)).judge([target.getvalue()])
    assert "one" == fit.label


def test_nothing_of_it_runs_for_a_digest(package: Path) -> None:
    (package / "__init__.py").write_text("raise SystemExit")
    assert 64 == len(judge_digest(named(package)))
    assert is_here(named(package))
    assert package.name not in sys.modules


@pytest.mark.parametrize("name", ["words.py", "looking.py", "weights.bin"])
def test_any_file_of_its_package_counts_and_so_do_the_bounds(package: Path, name: str) -> None:
    before = judge_digest(named(package))
    assert before == judge_digest(named(package, unjudged="deliver"))
    assert before != judge_digest(named(package, max_pixels=7))
    with (package / name).open("a") as file:
        file.write("# more\n")
    assert before != judge_digest(named(package))


def test_the_same_code_elsewhere_is_the_same_judge_and_compiled_files_are_no_code(
    package: Path,
) -> None:
    before = judge_digest(named(package))
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "words.cpython-311.pyc").write_bytes(b"old")
    assert before == judge_digest(named(package))


def test_changed_code_runs_though_a_compiled_file_of_the_old_one_looks_newest(
    package: Path,
) -> None:
    """Python tells them apart by seconds and size alone."""
    words = package / "words.py"
    os.utime(words, (1_700_000_000, 1_700_000_000))
    py_compile.compile(str(words), doraise=True)
    assert "one" == load_own(named(package)).judge([b"x"])[0].label
    words.write_text("LABEL = 'two'\n")
    os.utime(words, (1_700_000_000, 1_700_000_000))
    assert "two" == load_own(named(package)).judge([b"x"])[0].label


@pytest.mark.parametrize("name", ["__init__.py", "looking.py"])
def test_a_package_is_imported_anew_also_by_its_first_file(package: Path, name: str) -> None:
    for label in ("one", "two", "three"):
        source = SOURCE.format(package=package.name).replace("=LABEL", f"={label!r}")
        (package / name).write_text(source)
        settings = ModelSettings(judge=f"{package.name}{'.looking' * (name[0] == 'l')}:Judge")
        assert label == load_own(settings).judge([b"x"])[0].label


def test_code_that_changes_while_it_is_loaded_is_refused(package: Path) -> None:
    (package / "words.py").write_text(
        f"from pathlib import Path\nPath({str(package / 'more.py')!r}).touch()\nLABEL = 'one'\n"
    )
    assert "changed while it was loaded" in refusal(named(package))


@pytest.mark.parametrize(
    ("judge", "words"),
    [
        ("nowhere_at_all:Judge", "there is no module nowhere_at_all"),
        ("json:Judge", "json is no package of yours"),
        ("frameferry.cli:Judge", "frameferry is no package of yours"),
        ("numpy.nowhere:Judge", "there is no module numpy.nowhere"),
    ],
)
def test_a_module_that_is_not_there_is_said(judge: str, words: str) -> None:
    assert words in refusal(ModelSettings(judge=judge))
    assert not is_here(ModelSettings(judge="nowhere_at_all:Judge"))
    with pytest.raises(ModelMismatch, match=words):
        check_model(ModelSettings(judge=judge))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("class Judgment: pass", "has no Judge; its classes: Judgment"),
        ("class Judge(: pass", "cannot be read"),
        ("import no_such_part\nclass Judge: pass", "No module named 'no_such_part'"),
        ("def Judge(): pass", "is no class"),
        ("class Judge: pass", "has no load and no judge"),
        ("class Judge:\n def load(self): pass\n judge = 1", "has no judge"),
        ("class Judge:\n def load(self): 1/0\n def judge(self, p): pass", "line 2"),
        ("class Judge:\n def __init__(self, x): pass\n load = judge = print", "argument: 'x'"),
        ("class Judge:\n def load(self): exit(3)\n def judge(self, p): pass", "SystemExit: 3"),
    ],
)
def test_what_is_no_judge_is_said_with_file_and_remedy(
    package: Path, source: str, words: str
) -> None:
    (package / "looking.py").write_text(source)
    assert words in refusal(named(package))


def test_a_package_with_too_many_files_is_refused(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finding, "MOST_FILES", 2)
    assert "more than 2 files" in refusal(named(package))


def test_a_folder_without_an_init_is_no_module(package: Path) -> None:
    (package / "inner").mkdir()
    assert "not written in Python" in refusal(ModelSettings(judge=f"{package.name}.inner:Judge"))
    with pytest.raises(ModelMismatch, match="no module"):
        find_code(f"{package.name}.inner.more:Judge")
    shutil.move(package / "looking.py", package / "inner" / "more.py")
    assert f"{package.name}.inner.more" == find_code(f"{package.name}.inner.more:Judge").module


GOOD = Verdict(label="a")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (None, "something of type NoneType"),
        ("ab", "something of type str"),
        ((one for one in "ab"), "something of type generator"),
        ([GOOD], "1 verdicts of 2 pictures"),
        ([GOOD, "a"], "of picture 2 of 2 it said something of type str"),
        ([GOOD, {"label": "a"}], "type dict"),
        ([GOOD, Verdict(label=3)], "label 3 (int)"),
        ([GOOD, Verdict(label="a\nb")], "control character"),
        ([GOOD, Verdict(label="x" * 61)], "1 to 60 characters"),
        ([GOOD, Verdict(label="a", score=1.5)], "score 1.5"),
        ([GOOD, Verdict(label="a", score=True)], "score True (bool)"),
        ([GOOD, Verdict(label="a", score=np.float32(0.5))], "(float32)"),
        ([GOOD, Verdict(label="a", value=float("nan"))], "value nan"),
        ([GOOD, Verdict(label="a", unit="mm")], "the unit 'mm' (str) of the value None"),
        ([GOOD, Verdict(label="a", value=1, unit="m" * 21)], "the unit 'mmm"),
        ([GOOD, Verdict(label="a", outputs=[1])], "expected a mapping"),
        ([GOOD, Verdict(label="a", outputs={"a": float("inf")})], "JSON cannot hold"),
        ([GOOD, Verdict(label="a", outputs={"a": {1}})], "JSON cannot hold"),
        ([GOOD, Verdict(label="a", outputs={"a": "x" * 20_000})], "bytes of JSON"),
        ([GOOD, Unjudged(None)], "of type Unjudged"),
    ],
)
def test_what_is_no_verdict_is_said_with_the_picture(said: Any, words: str) -> None:
    flaw = flaw_of(said, 2)
    assert flaw is not None
    assert words in flaw


def test_whole_answers_have_no_flaw() -> None:
    whole = Verdict(label="a", score=1, value=-3, unit="mm", outputs={"deep": [1, {"x": None}]})
    assert flaw_of([whole, Unjudged("dark")], 2) is None
    assert flaw_of((GOOD,), 1) is None


def test_the_example_is_a_picture_judge() -> None:
    from judges.sharpness import Judge

    assert isinstance(Judge(), PictureJudge)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "needs a path or a judge"),
        ({"path": "m", "judge": "a:B"}, "and not both"),
        ({"judge": "a.B"}, "judge"),
        ({"judge": "a:B.c"}, "judge"),
        ({"judge": "a:B", "threshold": 0.7, "labels": ("a", "b")}, "threshold, labels would mean"),
    ],
)
def test_a_class_and_a_model_are_not_mixed(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ModelSettings(**settings)
