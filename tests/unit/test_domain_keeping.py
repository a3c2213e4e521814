"""Which pictures in quarantine fit, and how their copies are named."""

from __future__ import annotations

import pytest

from frameferry.domain.keeping import Place, SetAside, fitting, place_of


def pictures(*sizes: int) -> list[SetAside]:
    """Newest first: the ids fall."""
    return [
        SetAside(len(sizes) - at, Place(1, 0, at), size, "0" * 64, None, None)
        for at, size in enumerate(sizes)
    ]


@pytest.mark.parametrize(
    ("sizes", "room", "kept"),
    [
        ((), 10, []),
        ((4, 4, 4), 12, [3, 2, 1]),
        ((4, 4, 4), 11, [3, 2]),
        ((4, 40, 4), 8, [3, 1]),
        ((4, 5, 1), 8, [3]),
        ((0, 0), 1, [2, 1]),
        ((11,), 10, []),
    ],
)
def test_the_newest_that_fit_are_kept(sizes: tuple[int, ...], room: int, kept: list[int]) -> None:
    assert kept == [one.record_id for one in fitting(pictures(*sizes), room)]


def test_a_copys_name_tells_its_place() -> None:
    place = Place(2, 13, 4711)
    assert "2-13-00000000000000004711" == place.file_name
    assert place == place_of(place.file_name)


@pytest.mark.parametrize("name", ["", ".draft-x", "1-0-7", "1-0-00000000000000004711.jpg", "a"])
def test_other_files_are_no_copies(name: str) -> None:
    assert place_of(name) is None
