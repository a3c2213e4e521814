"""What addresses teach that lead nowhere, or late."""

from __future__ import annotations

import pytest

from frameferry.ftp.addresses import Addresses


def noted(story: str) -> Addresses:
    """Note what came of each address: a, asked alone; A, alone and missed; h and H, ahead."""
    addresses = Addresses()
    for letter in story:
        addresses.note(ahead=letter in "hH", is_missed=letter.isupper())
    return addresses


@pytest.mark.parametrize(
    "story",
    [
        "aHaH",
        "aHahaHah",
        "aHhhhhHhh",
        "a" * 500 + "HaH",
        "h" * 900 + "a" + "H" * 9,
        "aAaaHaHaaH",
    ],
)
def test_what_works_alone_only_is_asked_for_alone(story: str) -> None:
    assert noted(story).is_alone


@pytest.mark.parametrize(
    "story",
    [
        "",
        "aH",
        "aHhhhhhhh",
        "aH" + "h" * 40 + "H",
        "HHHH",
        "AHAHAHAH",
        "AAAAHH",
        "ahahahAAA",
    ],
)
def test_one_miss_or_ports_that_are_closed_to_all_teach_nothing(story: str) -> None:
    assert not noted(story).is_alone
