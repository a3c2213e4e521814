"""A draft gets its name once it is on the disk, for good, and never over another file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from frameferry.ledger.upkeep.files import give_name


@pytest.fixture
def draft(tmp_path: Path) -> Path:
    path = tmp_path / ".draft"
    path.write_text("whole")
    return path


@pytest.fixture(params=["links", "no links"])
def file(request: pytest.FixtureRequest, draft: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A name in a folder with, and without, hard links."""

    def link(*_: object) -> None:
        raise PermissionError

    if request.param == "no links":
        monkeypatch.setattr(os, "link", link)
    return draft.with_name("file")


def test_a_draft_gets_its_name(draft: Path, file: Path) -> None:
    give_name(draft, file)
    assert "whole" == file.read_text()


def test_no_file_is_written_over(draft: Path, file: Path) -> None:
    file.write_text("another")
    with pytest.raises(FileExistsError):
        give_name(draft, file)
    assert ("another", "whole") == (file.read_text(), draft.read_text())


def test_the_draft_is_on_the_disk_before_and_the_name_after(
    draft: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {draft.stat().st_ino: "draft", draft.parent.stat().st_ino: "folder"}
    synced: list[tuple[str, bool]] = []

    def fsync(handle: int) -> None:
        synced.append((names[os.fstat(handle).st_ino], file.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    give_name(draft, file)
    assert [("draft", False), ("folder", True)] == synced


def test_a_name_that_cannot_be_given_is_free_again(
    draft: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(PermissionError):
        give_name(draft, file)
    assert not file.exists()
