"""The page of an audit is one file, and no name in it does anything."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fixtures.hostile_names import hostile_names

from frameferry.domain.audit import Example, Finding, Kind, Repair, Repairs, Report
from frameferry.domain.wording import shown
from frameferry.errors import ConfigError
from frameferry.operations.audit.page import refuse_unwritable, write_files, write_page
from frameferry.operations.audit.telling import lines

HOSTILE = [
    *(name.text for name in hostile_names()),
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }}",
    "a\x1b[31mred\x1b[0m\r\nSet-Cookie: x",
    "right-to-left \u202egpj.exe",
]


def report(names: list[str]) -> Report:
    examples = tuple(Example(name, "0:1", name) for name in names)
    finding = Finding(Kind.extra, True, len(names) + 1, "files <b>", "next & more", examples)
    repairs = Repairs(True, (Repair("redeliver", names[0], 1, (), names[0]),), 2, 3)
    moment = datetime(2026, 12, 1, tzinfo=UTC)
    return Report("press-a", moment, 1.0, moment, None, True, 1, 2, 3, (finding,), repairs)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_hostile_names_are_text_and_the_page_asks_for_nothing(tmp_path: Path) -> None:
    file = tmp_path / "audit.html"
    write_page(report(HOSTILE), file)
    source = file.read_text(encoding="utf-8")
    page = Tags()
    page.feed(source)
    plain = {"html", "head", "meta", "title", "style", "body", "h1", "p", "section", "h2"}
    assert page.seen <= plain | {"table", "tr", "th", "td", "code", "ul", "li"}
    assert page.attributes <= {"lang", "charset", "http-equiv", "content", "name", "class"}
    assert not re.search(
        r"(src|href|url)\s*[=(]", re.sub(r"&[#\w]+;", "", source).split("<body>")[0]
    )
    for name in HOSTILE:
        assert shown(name) in page.text, name
    assert "{{ 7 * 7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", source)


def test_no_line_for_a_person_steers_a_terminal() -> None:
    for name in HOSTILE:
        for line in lines(report([name])):
            assert line.isprintable(), line


def test_reports_of_audits_that_nobody_watches_lie_below_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEFERRY_HOME", str(tmp_path))
    page, data = write_files(report(["a"]))
    assert (tmp_path / "audits/press-a", ".html") == (page.parent, page.suffix)
    assert "press-a" == json.loads(data.read_text(encoding="utf-8"))["pipeline"]
    assert sorted([page, data]) == sorted(page.parent.iterdir()), "no draft is left"


def test_a_page_that_cannot_be_written_is_refused_before_the_audit(tmp_path: Path) -> None:
    for file in (tmp_path, Path("/proc/none/audit.html")):
        with pytest.raises(ConfigError, match="cannot be written"):
            refuse_unwritable(file)
    old = tmp_path / "old.html"
    old.write_text("old")
    refuse_unwritable(old)
    refuse_unwritable(tmp_path / "reports" / "new.html")
    assert ["old"] == [one.read_text() for one in tmp_path.rglob("*.html")]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [("plain ü 도구", "plain ü 도구"), ("a\x1b[0m\n", "a\\x1b[0m\\n"), ("\u202e", "\\u202e")],
)
def test_characters_that_do_not_show_are_escaped(text: str, escaped: str) -> None:
    assert escaped == shown(text)
