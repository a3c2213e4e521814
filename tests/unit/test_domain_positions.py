"""Reading a record's position back from its file's name."""

from __future__ import annotations

import pytest

from frameferry.domain.positions import PositionReader

DEFAULT = "{date}/{stem}_{partition}-{offset:020d}{suffix}"


def reader(template: str = DEFAULT, generation: int = 1) -> PositionReader:
    return PositionReader(template, pipeline="press-a", generation=generation)


@pytest.mark.parametrize(
    ("name", "position"),
    [
        ("2026-11-25/cam_0-00000000000000004711.jpg", (0, 4711)),
        ("undated/record_12-00000000000000000000", (12, 0)),
        ("2026-11-25/a_1-00000000000000000002_3-00000000000000000004.jpg", (3, 4)),
        ("2026-11-25/cam_0-00000000000000004711%2Epart", (0, 4711)),
        ("2026-11-25/cam_0-00000000000000004711_part", (0, 4711)),
        ("2026-11-25/cam_0-00000000000000004711.jpg.json", None),
        ("2026-11-25/cam_0-4711.jpg", None),
        ("2026-11-25/cam_01-00000000000000004711.jpg", None),
        ("cam_0-00000000000000004711.jpg", None),
        ("2026-11-25/more/cam_0-00000000000000004711.jpg", None),
        ("2026-11-25/cam_0-00000000000000004711-g2.jpg", None),
        ("2026-11-25/readme.txt", None),
        ("", None),
    ],
)
def test_a_name_says_its_record_or_nothing(name, position):
    assert position == reader().read(name)


def test_only_names_of_the_own_generation_are_read():
    name = "2026-11-25/cam_0-00000000000000004711-g2.jpg"
    assert (0, 4711) == reader(generation=2).read(name)
    assert reader(generation=3).read(name) is None
    assert (1, 2) == reader("{partition}-{offset}", generation=2).read("1-2-g2")


@pytest.mark.parametrize(
    "template", ["{partition}/{stem}_{offset}{suffix}", "{partition}-{offset}/{stem}{suffix}"]
)
def test_a_file_name_that_does_not_hold_both_is_refused(template):
    with pytest.raises(ValueError, match="file's own name must hold"):
        reader(template)


def test_times_and_headers_are_passed_over():
    template = "{header[line]}/{year}/{month}{day}/{timestamp}_{partition}-{offset}_{stem}{suffix}"
    found = reader(template)
    assert (3, 7) == found.read("unset/2026/1125/20261125T101500042_3-7_cam.jpg")
    assert (3, 7) == found.read("L 3/undated/undatedundated/undated_3-7_cam")
    assert found.read("L/3/2026/1125/20261125T101500042_3-7_cam.jpg") is None
