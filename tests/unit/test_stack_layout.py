"""Where things are, in a checkout and without one."""

from __future__ import annotations

from pathlib import Path

import pytest

from frameferry.errors import StackError
from frameferry.stack import layout

ROOT = Path(__file__).parents[2]


@pytest.fixture
def without_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    package = tmp_path / "lib" / "site-packages" / "frameferry"
    monkeypatch.setattr(layout, "_PACKAGE", package)
    monkeypatch.delenv("FRAMEFERRY_CACHE", raising=False)
    return package


def test_a_checkout_holds_the_cache_unless_another_place_is_named(monkeypatch, tmp_path):
    monkeypatch.delenv("FRAMEFERRY_CACHE", raising=False)
    assert ROOT == layout.checkout()
    assert ROOT / ".cache" == layout.cache()
    monkeypatch.setenv("FRAMEFERRY_CACHE", str(tmp_path))
    assert tmp_path == layout.cache()


def test_without_a_checkout_the_cache_is_the_users_own(without_checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert tmp_path / "cache" / "frameferry" == layout.cache()
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tmp_path / ".cache" / "frameferry" == layout.cache()


def test_what_needs_a_checkout_says_where_it_looked_and_what_to_do(without_checkout):
    with pytest.raises(StackError, match="need a checkout of the project") as caught:
        layout.checkout()
    assert str(without_checkout) in caught.value.what
    assert "make setup" in caught.value.remedy
    assert "--only kafka,spark,ftp" in caught.value.remedy
