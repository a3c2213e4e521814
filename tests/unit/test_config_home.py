"""Three environment variables say where state, configuration and the ledger are."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameferry.config.home import home, ledger_url, masked_url, pipelines_folder


def test_the_defaults_lie_in_the_working_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("FRAMEFERRY_HOME", "FRAMEFERRY_PIPELINES", "FRAMEFERRY_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    assert tmp_path / ".frameferry" == home()
    assert tmp_path / "include/pipelines" == pipelines_folder()
    assert f"sqlite:///{tmp_path}/.frameferry/ledger.db" == ledger_url()


def test_the_variables_move_them(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAMEFERRY_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("FRAMEFERRY_PIPELINES", str(tmp_path / "pipelines"))
    assert tmp_path / "state" == home()
    assert tmp_path / "pipelines" == pipelines_folder()
    assert f"sqlite:///{tmp_path}/state/ledger.db" == ledger_url()


def test_a_ledger_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEFERRY_LEDGER_URL", "postgresql+psycopg://ferry@db/ledger")
    assert ledger_url() == "postgresql+psycopg://ferry@db/ledger"


def test_an_empty_variable_is_no_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("FRAMEFERRY_HOME", "FRAMEFERRY_PIPELINES", "FRAMEFERRY_LEDGER_URL"):
        monkeypatch.setenv(name, "")
    assert tmp_path / ".frameferry" == home()


@pytest.mark.parametrize("variable", ["FRAMEFERRY_HOME", "FRAMEFERRY_PIPELINES"])
def test_a_relative_folder_is_made_absolute(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, "x/y")
    found: Path = home() if variable == "FRAMEFERRY_HOME" else pipelines_folder()
    assert tmp_path / "x/y" == found


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ferry:hunter2@db/plant",
        "postgresql://ferry:hun@ter2@db/plant",
        "postgresql://ferry:hun/ter2@db/plant",
        "postgresql://ferry:hun:ter2?#@db/plant?sslmode=require",
        "postgresql://db/plant?user=ferry&password=hunter2",
        "postgresql://db/plant?sslpassword=hunter2&sslmode=require",
        "mysql://:hunter2@db/plant",
    ],
)
def test_a_url_is_shown_without_its_password(url: str) -> None:
    shown = masked_url(url)
    assert "ter2" not in shown
    assert "hun" not in shown
    assert "db/plant" in shown
