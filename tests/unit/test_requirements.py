"""What is asked for is pinned, so that a fresh machine gets what was tested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def names(path: Path) -> set[str]:
    """Read the names of requirements as the index spells them."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = (re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", line) for line in lines)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in found if name}


@pytest.mark.parametrize("stem", ["requirements", "requirements-dev", "requirements-celery"])
def test_everything_asked_for_is_pinned(stem: str) -> None:
    assert set() == names(ROOT / f"{stem}.in") - names(ROOT / f"{stem}.txt")
    for line in (ROOT / f"{stem}.txt").read_text(encoding="utf-8").splitlines():
        assert "==" in line, line


def test_both_locks_agree() -> None:
    runtime = set((ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines())
    everything = set((ROOT / "requirements-dev.txt").read_text(encoding="utf-8").splitlines())
    assert set() == runtime - everything


def test_celerys_lock_changes_no_version_of_the_others() -> None:
    """It is installed on top of an image that has them."""

    def versions(stem: str) -> dict[str, str]:
        lines = (ROOT / f"{stem}.txt").read_text(encoding="utf-8").splitlines()
        return dict(line.split("==") for line in lines)  # type: ignore[misc]

    runtime, celery = versions("requirements"), versions("requirements-celery")
    both = runtime.keys() & celery.keys()
    assert {name: runtime[name] for name in both} == {name: celery[name] for name in both}
