from __future__ import annotations

from pathlib import Path

import pytest

from frameferry.config.notifiers import notifiers, tells_failures
from frameferry.errors import ConfigError

WHOLE = (
    "notifiers: [{notifier: a.b.Mail, arguments: {to: x}, tells: [failures], pipelines: [press-a]}]"
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "notifiers.yaml"
    monkeypatch.setenv("FRAMEFERRY_NOTIFIERS", str(path))
    return path


def test_without_a_file_nobody_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMEFERRY_NOTIFIERS", raising=False)
    monkeypatch.chdir(tmp_path)
    assert notifiers() == ()
    assert not tells_failures("press-a")


def test_a_file_that_is_named_must_be_there(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"notifiers\.yaml: cannot be read"):
        notifiers()
    assert tells_failures("press-a"), "whoever tells then says what is wrong"


def test_a_notifier_says_what_it_is_told_and_of_whom(file: Path) -> None:
    file.write_text(WHOLE)
    (one,) = notifiers()
    assert (one.notifier, one.arguments, one.tells) == ("a.b.Mail", {"to": "x"}, ("failures",))
    assert (one.wants_pipeline("press-a"), one.wants_pipeline("press-b")) == (True, False)
    assert (tells_failures("press-a"), tells_failures("press-b")) == (True, False)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("notifiers: [{notifier: Mail}]", r"notifiers\.yaml: notifiers\.0\.notifier: String"),
        ("notifiers: [{notifier: a.B, to: x}]", r"notifiers\.0\.to: Extra inputs"),
        ("notifiers: [{notifier: a.B, tells: [ever]}]", r"notifiers\.0\.tells\.0: Input should be"),
        ("notifier: a.B", "notifiers: Field required"),
    ],
)
def test_what_is_wrong_is_said_by_file_and_key(file: Path, text: str, says: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=says):
        notifiers()
