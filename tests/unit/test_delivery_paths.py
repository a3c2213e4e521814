from __future__ import annotations

import pytest

from frameferry.delivery.parts import part_path
from frameferry.errors import UnsafePath
from frameferry.ftp.paths import check_path, has_control_character, is_within


def test_a_part_lies_beside_its_final_file_hidden_and_marked() -> None:
    assert (
        part_path("/press-a/2026-11-23/x.jpg", "e-1-1", 7)
        == "/press-a/2026-11-23/.x.jpg.e-1-1-7.part"
    )


def test_a_part_of_a_file_in_the_root_stays_in_the_root() -> None:
    assert part_path("/x.jpg", "e-1-1", 1) == "/.x.jpg.e-1-1-1.part"


@pytest.mark.parametrize("name", ["n" * 255, "압" * 85, "é" * 127 + "x"])
def test_a_part_of_the_longest_name_is_not_too_long(name: str) -> None:
    part = part_path(f"/base/{name}", "0123abcd-123456-12", 1_000_000)
    assert len(part.removeprefix("/base/").encode()) <= 255
    assert part.endswith(".0123abcd-123456-12-1000000.part")


@pytest.mark.parametrize(
    ("path", "flaw"),
    [
        ("press-a/x", "not absolute"),
        ("", "not absolute"),
        ("/press-a//x", "empty or dotted"),
        ("/press-a/../x", "empty or dotted"),
        ("/press-a/./x", "empty or dotted"),
        ("/press-a/..", "empty or dotted"),
        ("/press-a/x\r\nDELE y", "control"),
        ("/press-a/x\0y", "control"),
        ("/press-a/x\x85y", "control"),
        ("/press-a/x\u2028y", "control"),
        ("/press-a/x\ud800", "control"),
        ("/press-a/" + "x" * 256, "over 255"),
        ("/press-a" + "/x" * 2100, "over 4096"),
        ("/press-b/x", "outside"),
        ("/press-abc/x", "outside"),
        ("/", "outside"),
    ],
)
def test_an_unsafe_path_is_refused_with_its_flaw(path: str, flaw: str) -> None:
    with pytest.raises(UnsafePath, match=flaw):
        check_path(path, "/press-a")


@pytest.mark.parametrize(
    "path", ["/press-a/x", "/press-a", "/press-a/%2E%2E/a b.jpg", "/press-a/ü"]
)
def test_a_safe_path_passes(path: str) -> None:
    check_path(path, "/press-a")


def test_everything_lies_within_the_root() -> None:
    assert is_within("/x", "/")
    assert is_within("/", "/")


def test_plain_text_has_no_control_character() -> None:
    assert not has_control_character("STOR /a b/ü 압 🙂.jpg")
