"""Remote names of single records."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from frameferry.config.settings import DEFAULT_NAME
from frameferry.domain.naming import (
    COMPONENT_BYTES,
    Illegal,
    NameFields,
    join_base,
    name_flaw,
    remote_name,
)

NOON = int(datetime(2026, 11, 23, 12, 30, tzinfo=UTC).timestamp() * 1000)
END = "_0-00000000000000000007"


def fields_of(**fields: Any) -> NameFields:
    known: dict[str, Any] = {
        "pipeline": "press-a",
        "topic": "press-a.images",
        "partition": 0,
        "offset": 7,
        "timestamp_ms": NOON,
        "source_name": "a.jpg",
        "label": "good",
    }
    return NameFields(**{**known, **fields})


def named(
    template: str = DEFAULT_NAME, zone: str = "UTC", illegal: Illegal = "encode", **fields: Any
) -> str:
    return remote_name(template, fields_of(**fields), ZoneInfo(zone), illegal)


def file_of(source: str | None, illegal: Illegal = "encode") -> str:
    return named(source_name=source, illegal=illegal).removeprefix("2026-11-23/")


def flaw_of(template: str = DEFAULT_NAME, **fields: Any) -> str | None:
    return name_flaw(template, fields_of(**fields), ZoneInfo("UTC"))


def test_the_default_name() -> None:
    assert named() == f"2026-11-23/a{END}.jpg"


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{partition}-{offset}", "0-7"),
        ("{date}/{hour}/{partition}-{offset}", "2026-11-23/12/0-7"),
        ("{pipeline}/{topic}/{label}/{partition}-{offset}", "press-a/press-a.images/good/0-7"),
        (
            "{year}/{month}/{day}/{hour}{minute}{second}_{partition}-{offset}",
            "2026/11/23/123000_0-7",
        ),
        ("{timestamp}_{partition}-{offset}", "20261123T123000000_0-7"),
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


@pytest.mark.parametrize(
    ("policy", "expected"), [("encode", "%2E"), ("replace", "_"), ("hash", "_")]
)
def test_no_name_ends_as_a_part_does(policy: Illegal, expected: str) -> None:
    assert file_of("a.part", policy) == f"a{END}{expected}part"
    assert named("{partition}-{offset}_{stem}", source_name="x.e-1-1-7.PaRT.long-suffix") == (
        "0-7_x.e-1-1-7.PaRT.long-suffix"
    )
    assert named("{partition}-{offset}_{label}", label=".x.e-1-1-7.PaRT", illegal=policy) == (
        f"0-7_.x.e-1-1-7{expected}PaRT"
    )
    assert "ends in .part" in (flaw_of(source_name="a.part") or "")


def test_two_spellings_of_one_letter_are_one_name() -> None:
    assert file_of("e\u0301.jpg") == file_of("\u00e9.jpg")


def test_a_record_without_label_is_unjudged() -> None:
    assert named("{label}/{partition}-{offset}", label=None) == "unjudged/0-7"


@pytest.mark.parametrize("moment", [-1, 0, -(10**18), 10**18, 2**63 - 1, -(2**63)])
def test_a_time_outside_the_century_is_no_date(moment: int) -> None:
    assert named("{date}/{hour}/{partition}-{offset}", timestamp_ms=moment) == "undated/undated/0-7"


EVERY_TIME = "{year}/{month}/{day}/{minute}/{second}/{timestamp}/{partition}-{offset}"


@pytest.mark.parametrize("moment", [-1, 2**63 - 1])
def test_a_record_without_time_is_undated_throughout(moment: int) -> None:
    assert named(EVERY_TIME, timestamp_ms=moment) == "undated/" * 6 + "0-7"


@pytest.mark.parametrize(("millis", "end"), [(0, "000"), (7, "007"), (999, "999")])
def test_a_timestamp_has_its_milliseconds(millis: int, end: str) -> None:
    name = named("{timestamp}_{partition}-{offset}", timestamp_ms=NOON + millis)
    assert name == f"20261123T123000{end}_0-7"


def test_headers_have_their_places() -> None:
    template = "{header[line]}/{header[recipe id]}_{partition}-{offset}"
    headers = (("line", "3/../4"), ("recipe id", "불량"), ("other", "x"))
    assert named(template, headers=headers) == "3%2F..%2F4/불량_0-7"


@pytest.mark.parametrize("headers", [(), (("line", ""),), (("lot", "x"),)])
def test_a_header_that_is_missing_or_empty_is_unset(headers: tuple[tuple[str, str], ...]) -> None:
    assert named("{header[line]}/{partition}-{offset}", headers=headers) == "unset/0-7"


@pytest.mark.parametrize(
    ("source", "replaced"),
    [
        ("a.jpg", f"a{END}.jpg"),
        ("../../outside.jpg", f"_._.._outside{END}.jpg"),
        ("a\r\nDELE b.jpg", f"a__DELE b{END}.jpg"),
        ("100%.jpg", f"100_{END}.jpg"),
        (" a.jpg", f"_a{END}.jpg"),
        ("-rf.jpg", f"_rf{END}.jpg"),
        ("\u0301a.jpg", f"_a{END}.jpg"),
    ],
)
def test_what_cannot_stand_may_be_replaced(source: str, replaced: str) -> None:
    assert file_of(source, "replace") == replaced


def test_reserved_words_and_folders_edges_are_replaced_too() -> None:
    template = "{label}/{partition}-{offset}"
    assert named(template, label="con", illegal="replace") == "_on/0-7"
    assert named(template, label="..", illegal="replace") == "__/0-7"
    assert named(template, label="a ", illegal="replace") == "a_/0-7"


@pytest.mark.parametrize("source", ["../x.jpg", "a\nb.jpg", "a:b.jpg", "\u0301a.jpg", "%.jpg"])
def test_a_text_that_cannot_stand_may_become_its_digest(source: str) -> None:
    name = file_of(source, "hash")
    assert re.fullmatch(rf"[0-9a-f]{{16}}{END}\.jpg", name)
    assert name != file_of(f"x{source}", "hash")


def test_a_text_that_can_stand_is_not_digested() -> None:
    assert file_of("라인 3.png", "hash") == f"라인 3{END}.png"
    assert file_of(".png", "hash") == f"record{END}.png"
    assert file_of(".x.png", "hash") == f"_x{END}.png"
    assert named("{label}/{partition}-{offset}", label="con", illegal="hash") == "_on/0-7"


@pytest.mark.parametrize("source", ["a.jpg", None, "", "라인 3.PNG", "e\u0301.jpg", "a.b.c"])
def test_most_records_have_no_flaw(source: str | None) -> None:
    assert flaw_of(source_name=source) is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"source_name": "a\nb.jpg"}, r"the source name 'a\\nb.jpg' holds a character"),
        ({"source_name": "../x.jpg"}, "the source name '../x.jpg' holds a character"),
        ({"source_name": "50%.jpg"}, "the source name '50%.jpg' holds a character"),
        ({"source_name": ".x.jpg"}, "begins or ends"),
        ({"source_name": "x" * 300}, "is over 255 bytes"),
    ],
)
def test_a_flaw_is_said_in_words(fields: dict[str, Any], said: str) -> None:
    assert re.search(said, flaw_of(**fields) or "")


def test_only_what_the_template_uses_can_be_a_flaw() -> None:
    plain = "{partition}-{offset}"
    assert flaw_of(plain, source_name="a\nb", label="../x", headers=(("line", "/"),)) is None
    assert "label '../x'" in (flaw_of("{label}/" + plain, label="../x") or "")
    assert "reserves" in (flaw_of("{label}/" + plain, label="con") or "")
    headers = (("line", "3/4"),)
    assert "header 'line' '3/4'" in (flaw_of("{header[line]}/" + plain, headers=headers) or "")


def test_a_rejected_records_place_is_the_encoded_one() -> None:
    assert file_of("a\nb.jpg", "reject") == file_of("a\nb.jpg", "encode")


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
