"""What comes from outside fits the database, and names are compared without case."""

from __future__ import annotations

import pytest

from frameferry.ledger.database.text import storable
from frameferry.ledger.records.names import name_key


@pytest.mark.parametrize(
    ("outside", "stored"),
    [
        (None, None),
        ("", ""),
        ("Prüfling 7.jpg", "Prüfling 7.jpg"),
        ("a\x00b", "a\ufffdb"),
        ("a\udcffb", "a?b"),
        ("日本\n", "日本\n"),
    ],
)
def test_only_what_cannot_be_stored_is_replaced(outside: str | None, stored: str | None) -> None:
    assert storable(outside) == stored


def test_names_that_differ_in_case_only_are_one() -> None:
    assert name_key("/Press/Straße.JPG") == name_key("/press/STRASSE.jpg")
    assert name_key("/a/b") != name_key("/ab")
    assert len(name_key("/" + "x" * 10_000)) == 64
