"""Who gives a command is told by what the system knows, not by what the environment says."""

from __future__ import annotations

import os
import pwd

import pytest

from frameferry.config.person import person

ME = os.getuid()
OTHER = next(one for one in pwd.getpwall() if one.pw_uid != ME)
NOBODYS = 4_294_967_294


def me() -> str:
    return next((one.pw_name for one in pwd.getpwall() if one.pw_uid == ME), f"uid {ME}")


@pytest.fixture(autouse=True)
def _no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SUDO_UID", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)


def test_variables_that_anybody_may_set_name_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "mallory")
    assert me() == person()


def test_whoever_became_another_by_sudo_is_named_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(OTHER.pw_uid))
    monkeypatch.setenv("SUDO_USER", "mallory")
    assert f"{me()} (sudo by {OTHER.pw_name})" == person()


def test_one_without_a_name_is_told_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", str(NOBODYS))
    assert f"{me()} (sudo by uid {NOBODYS})" == person()


@pytest.mark.parametrize("nonsense", ["", "x", "-1", "1 ", "\u0661", "9" * 5000, str(ME), "0x1"])
def test_what_sudo_does_not_say_is_not_told(monkeypatch: pytest.MonkeyPatch, nonsense: str) -> None:
    monkeypatch.setenv("SUDO_UID", nonsense)
    assert me() == person()


def test_a_number_that_no_uid_can_be_is_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "9" * 10)
    assert f"{me()} (sudo by uid 9999999999)" == person()
