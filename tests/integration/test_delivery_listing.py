"""Listing what lies on a server, by MLSD and by LIST."""

from __future__ import annotations

from contextlib import closing

import pytest
from fixtures.odd_ftp import odd_server

from frameferry.delivery.parts import is_part
from frameferry.domain.records import sha256_hex
from frameferry.errors import DeliveryRefused, FtpUnavailable
from frameferry.ftp import listing
from frameferry.ftp.client import connect
from frameferry.ftp.listing import list_tree, read_folder, read_sha256

NAMES = [
    "2026-11-25/cam_0-7.jpg",
    "2026-11-25/deep/er/a b  c.jpg",
    "2026-11-26/-rf.png",
    "2026-11-26/.half.e-1-1-0.part",
    "도구.jpg",
    " leading",
]


@pytest.fixture(params=["MLSD", "LIST"])
def server(request, tmp_path):
    missing = [] if request.param == "MLSD" else ["MLSD", "MLST"]
    with odd_server(tmp_path / "root", without=missing) as running:
        for size, name in enumerate(NAMES):
            path = running.root / "base" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"x" * size)
        (running.root / "elsewhere").mkdir()
        (running.root / "elsewhere" / "theirs.jpg").write_bytes(b"")
        (running.root / "base" / "link").symlink_to(running.root / "base")
        yield running


def test_every_file_is_found_hidden_ones_and_sub_folders_too(server):
    with closing(connect(server.connection())) as ftp:
        ftp.confine("/base")
        found = {file.path: file for file in list_tree(ftp, "/base") if "/link" not in file.path}
    assert {f"/base/{name}": size for size, name in enumerate(NAMES)} == {
        path: file.size_bytes for path, file in found.items()
    }
    assert ["/base/2026-11-26/.half.e-1-1-0.part"] == [path for path in found if is_part(path)]


def test_a_base_that_is_missing_is_no_empty_one(server):
    with closing(connect(server.connection())) as ftp, pytest.raises(FtpUnavailable):
        list(list_tree(ftp, "/none"))


def test_a_loop_of_links_ends(server, monkeypatch):
    monkeypatch.setattr(listing, "MAX_DEPTH", 3)
    with closing(connect(server.connection())) as ftp:
        deepest = max(file.path.count("/link") for file in list_tree(ftp, "/base"))
    assert deepest <= 3


def test_a_file_is_read_back_or_gone(server):
    with closing(connect(server.connection())) as ftp:
        assert sha256_hex(b"") == read_sha256(ftp, "/base/2026-11-25/cam_0-7.jpg")
        assert read_sha256(ftp, "/base/none.jpg") is None


def test_a_folder_that_may_not_be_listed_is_said(tmp_path):
    with odd_server(tmp_path / "root", permissions="erw") as running:
        (running.root / "base").mkdir()
        with closing(connect(running.connection())) as ftp, pytest.raises(DeliveryRefused):
            list(list_tree(ftp, "/base"))


@pytest.mark.parametrize(
    ("names", "options", "flaw"),
    [
        (99, {}, ""),
        (100, {}, "its list ends at exactly 100 names, perhaps a limit"),
        (98, {"list_end": "98 matches total"}, "its list ends at exactly 100 names"),
        (7, {"list_end": "Transfer complete; only the first 7 shown"}, "the server said"),
        (7, {"list_end": "7 matches total"}, ""),
    ],
)
def test_it_is_said_what_speaks_for_there_being_more(tmp_path, names, options, flaw):
    with odd_server(tmp_path / "root", **options) as running:
        for number in range(names):
            (running.root / f"{number}.bin").write_bytes(b"")
        with closing(connect(running.connection())) as ftp:
            found = read_folder(ftp, "/")
    assert names == len(found.entries)
    assert found.flaw.startswith(flaw)
    assert bool(flaw) == bool(found.flaw)


def test_a_folder_below_that_may_not_be_listed_is_told_and_passed_over(tmp_path):
    told = []
    with odd_server(tmp_path / "root", list_refuses="locked") as running:
        for name in ("base/locked/a.jpg", "base/open/b.jpg", "base/c.jpg"):
            (running.root / name).parent.mkdir(parents=True, exist_ok=True)
            (running.root / name).write_bytes(b"x")
        with closing(connect(running.connection())) as ftp:
            found = list(list_tree(ftp, "/base", on_flaw=lambda *flaw: told.append(flaw)))
    assert ["/base/c.jpg", "/base/open/b.jpg"] == sorted(file.path for file in found)
    assert [("/base/locked", True)] == [
        (where, "does not list" in why.words) for where, why in told
    ]
