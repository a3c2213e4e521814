"""What comes from outside fits the database, and names are compared without case."""

from __future__ import annotations

import pytest

from frameferry.ledger.database.text import NAME_CHARACTERS, signature, storable
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


@pytest.mark.parametrize(
    ("who", "signed"),
    [
        ("ada", "ada"),
        ("ACME\\ada (sudo by root)", "ACME\\ada (sudo by root)"),
        ("Jürgen 山田 O'Neill 🚢", "Jürgen 山田 O'Neill 🚢"),
        ("ada\n2026-01-01 root", r"ada\n2026-01-01 root"),
        ("\x1b[31mada\x00\x7f", r"\x1b[31mada\x00\x7f"),
        ("ada\u202etoor", r"ada\u202etoor"),
        ("a\udcff", r"a\udcff"),
        ("  ada ", "ada"),
    ],
)
def test_a_signature_is_one_line_that_shows(who: str, signed: str) -> None:
    assert signature(who) == signed


def test_a_long_name_is_cut_and_two_of_them_stay_two() -> None:
    first, second = (signature("x" * 500 + end) for end in "ab")
    assert first != second
    assert {NAME_CHARACTERS} == {len(first), len(second)}
    assert first.startswith("x" * 280)
    whole = "x" * NAME_CHARACTERS
    assert signature(whole) == whole
