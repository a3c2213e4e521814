"""Names of parts and sidecars: readable back, within 255 bytes, and functions of one another."""

from __future__ import annotations

import pytest

from frameferry.delivery.parts import (
    PartTag,
    has_sidecar,
    part_path,
    part_tag_of,
    sidecar_part,
    sidecar_path,
)

LONG = ["n" * 255, "압" * 85, "é" * 127 + "x"]


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def test_a_part_in_the_style_of_servers_that_take_no_dot() -> None:
    assert "/a/x.jpg.e-1-1-7.part" == part_path("/a/x.jpg", "e-1-1", 7, style="suffix")


@pytest.mark.parametrize("name", ["x.jpg", *LONG])
@pytest.mark.parametrize("style", ["dot", "suffix"])
def test_a_part_tells_whose_it_is(name, style) -> None:
    for paired in (False, True):
        part = part_path(f"/a/{name}", "0123abcd-77-3", 9, style=style, has_sidecar=paired)
        assert PartTag("0123abcd", 77, 3) == part_tag_of(name_of(part))
        assert paired == has_sidecar(part)
        assert len(name_of(part).encode()) <= 255
        assert part.endswith(".part")


@pytest.mark.parametrize("name", ["x.jpg", *LONG])
def test_a_sidecars_part_follows_from_its_pictures(name) -> None:
    part = part_path(f"/a/{name}", "0123abcd-77-3", 9, has_sidecar=True)
    beside = sidecar_part(part)
    assert beside != part
    assert beside.endswith("-9.json.part")
    assert PartTag("0123abcd", 77, 3) == part_tag_of(name_of(beside))
    assert not has_sidecar(beside)
    assert len(name_of(beside).encode()) <= 255


@pytest.mark.parametrize(
    "name", [".frameferry-probe.0123abcd-77-3-9.part", ".frameferry-probe.0123abcd-77-3-9.probe"]
)
def test_probe_files_tell_it_too(name) -> None:
    assert PartTag("0123abcd", 77, 3) == part_tag_of(name)


@pytest.mark.parametrize(
    "name",
    [
        *("x.jpg", "x.part", ".part", "", ".x.jpg.tmp", "x_0-00000000000000000007.jpg"),
        *(".x.e-1-1.part", ".x.e-1-1-x.part", ".x.e-1-1-7.part.jpg", ".x.e-1-1-7.part "),
        *(".x.E-1-1-7.part", ".in.x.jpg.", ".x.e-1-1-7.json", "0123abcd-77-3-9.part"),
        ".x.e-" + "1" * 40 + "-1-7.part",
        *(".x.e-1-1-7.probe", "frameferry-probe.e-1-1-7.probe", "x.frameferry-probe.e-1-1-7.probe"),
    ],
)
def test_other_files_are_no_parts(name) -> None:
    assert part_tag_of(name) is None


def test_a_sidecar_lies_beside_its_picture() -> None:
    assert "/a/x_0-7.jpg.json" == sidecar_path("/a/x_0-7.jpg")
    assert "/x.json" == sidecar_path("/x")


@pytest.mark.parametrize("name", LONG)
def test_the_sidecar_of_a_long_name_is_its_own(name) -> None:
    one, other = sidecar_path(f"/a/{name}"), sidecar_path(f"/a/{name[:-1]}y")
    assert one != other
    assert len(name_of(one).encode()) <= 255
    assert one.endswith(".json")
