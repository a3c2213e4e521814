"""Remote names of single records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from frameferry.config.settings import DEFAULT_NAME
from frameferry.domain.naming import COMPONENT_BYTES, NameFields, join_base, remote_name

NOON = int(datetime(2026, 11, 23, 12, 30, tzinfo=UTC).timestamp() * 1000)
END = "_0-00000000000000000007"


def named(template: str = DEFAULT_NAME, zone: str = "UTC", **fields: Any) -> str:
    known: dict[str, Any] = {
        "pipeline": "press-a",
        "topic": "press-a.images",
        "partition": 0,
        "offset": 7,
        "timestamp_ms": NOON,
        "source_name": "a.jpg",
        "label": "good",
    }
    return remote_name(template, NameFields(**{**known, **fields}), ZoneInfo(zone))


def file_of(source: str | None) -> str:
    return named(source_name=source).removeprefix("2026-11-23/")


def test_the_default_name() -> None:
    assert named() == f"2026-11-23/a{END}.jpg"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{partition}-{offset}", "0-7"),
        ("{date}/{hour}/{partition}-{offset}", "2026-11-23/12/0-7"),
        ("{pipeline}/{topic}/{label}/{partition}-{offset}", "press-a/press-a.images/good/0-7"),
        ("{partition}//{offset}/", "0/7"),
        ("/{partition}/{offset}", "0/7"),
    ],
)
def test_every_field_has_its_place(template: str, expected: str) -> None:
    assert named(template) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a.JPG", f"a{END}.jpg"),
        ("a.b.jpeg", f"a.b{END}.jpeg"),
        (None, f"record{END}"),
        ("", f"record{END}"),
        (".jpg", f"record{END}.jpg"),
        ("photo", f"photo{END}"),
        ("photo.", f"photo.{END}"),
        ("a.longest", f"a.longest{END}"),
        ("a.j pg", f"a.j pg{END}"),
        ("라인 3.png", f"라인 3{END}.png"),
        ("라인.png", f"라인{END}.png"),
    ],
)
def test_stem_and_suffix(source: str | None, expected: str) -> None:
    assert file_of(source) == expected


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("../../outside.jpg", f"%2E.%2F..%2Foutside{END}.jpg"),
        ("/etc/passwd", f"%2Fetc%2Fpasswd{END}"),
        ("..", f"%2E.{END}"),
        (".hidden.jpg", f"%2Ehidden{END}.jpg"),
        ("-rf.jpg", f"%2Drf{END}.jpg"),
        (" a.jpg", f"%20a{END}.jpg"),
        ("two\nlines.jpg", f"two%0Alines{END}.jpg"),
        ("a\r\nDELE b.jpg", f"a%0D%0ADELE b{END}.jpg"),
        ("a\0b.jpg", f"a%00b{END}.jpg"),
        ("a\x7f\u0085.jpg", f"a%7F%C2%85{END}.jpg"),
        ("a\u202egpj.jpg", f"a%E2%80%AEgpj{END}.jpg"),
        ("a\ud800.jpg", f"a%ED%A0%80{END}.jpg"),
        ("C:\\x\\a.jpg", f"C%3A%5Cx%5Ca{END}.jpg"),
        ('<>"|?*%.jpg', f"%3C%3E%22%7C%3F%2A%25{END}.jpg"),
        ("%41.jpg", f"%2541{END}.jpg"),
        ("a\u2028b.jpg", f"a%E2%80%A8b{END}.jpg"),
        ("\u0301a.jpg", f"%CC%81a{END}.jpg"),
        ("a:\u0301.jpg", f"a%3A%CC%81{END}.jpg"),
    ],
)
def test_hostile_names_are_harmless_and_still_readable(source: str, expected: str) -> None:
    assert file_of(source) == expected


@pytest.mark.parametrize(
    "word", ["con", "NUL", "com1", "Lpt9", "com²", "CONIN$", "aux .x", "prn.x"]
)
def test_words_that_windows_reserves_are_broken_up(word: str) -> None:
    name = named("{label}/{partition}-{offset}", label=word)
    assert name == f"%{ord(word[0]):02X}{word[1:]}/0-7"


@pytest.mark.parametrize("word", ["console", "com0", "com10", "lpt", "nul-x", "nul%"])
def test_words_that_only_begin_so_are_left_alone(word: str) -> None:
    assert named("{label}/{partition}-{offset}", label=word) == f"{word}/0-7".replace("%", "%25")


@pytest.mark.parametrize(("label", "expected"), [("a.", "a%2E"), ("a ", "a%20"), ("..", "%2E%2E")])
def test_folders_end_in_no_dot_and_no_space(label: str, expected: str) -> None:
    assert named("{label}/{partition}-{offset}", label=label) == f"{expected}/0-7"


def test_two_spellings_of_one_letter_are_one_name() -> None:
    assert file_of("e\u0301.jpg") == file_of("\u00e9.jpg")


def test_a_record_without_label_is_unjudged() -> None:
    assert named("{label}/{partition}-{offset}", label=None) == "unjudged/0-7"


@pytest.mark.parametrize("moment", [-1, 0, -(10**18), 10**18, 2**63 - 1, -(2**63)])
def test_a_time_outside_the_century_is_no_date(moment: int) -> None:
    assert named("{date}/{hour}/{partition}-{offset}", timestamp_ms=moment) == "undated/undated/0-7"


def test_the_date_is_the_zones() -> None:
    assert named("{date}/{hour}/{partition}-{offset}", zone="Asia/Tokyo") == "2026-11-23/21/0-7"
    late = NOON + 4 * 3_600_000
    assert named("{date}/{partition}-{offset}", "Asia/Seoul", timestamp_ms=late) == "2026-11-24/0-7"


def test_a_long_name_keeps_both_ends_and_a_digest() -> None:
    one, other = (file_of(f"{'x' * 300}{letter}{'y' * 300}.jpg") for letter in "ab")
    assert one != other
    for name in (one, other):
        assert len(name.encode()) <= COMPONENT_BYTES
        assert name.startswith("xxx")
        assert name.endswith(f"yyy{END}.jpg")


def test_a_long_name_is_cut_between_letters() -> None:
    for length in range(60, 130):
        assert len(file_of("도" * length + ".jpg").encode()) <= COMPONENT_BYTES


def test_the_second_generation_is_written_into_the_name() -> None:
    assert named(generation=2) == f"2026-11-23/a{END}-g2.jpg"
    assert named("{partition}-{offset}", generation=3) == "0-7-g3"


@pytest.mark.parametrize(
    ("base", "name", "expected"),
    [
        ("/press-a", "2026/a.jpg", "/press-a/2026/a.jpg"),
        ("/", "a.jpg", "/a.jpg"),
        ("/a//b/", "/c//d", "/a/b/c/d"),
    ],
)
def test_a_name_goes_under_its_base(base: str, name: str, expected: str) -> None:
    assert join_base(base, name) == expected
