"""The glossary's words are the ones in use, and the words it replaces are not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
TERMS = re.findall(r"^\*\*(.+?)\*\*: ", GLOSSARY, re.MULTILINE)
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "include/frameferry").rglob("*.py"))
}
ENTRIES = [
    *(
        path
        for folder in ("dags", "plugins", "spark_jobs")
        for path in (ROOT / folder).rglob("*.py")
    ),
    *ROOT.glob("*.md"),
]
OURS = [*(ROOT / "docs").rglob("*.md"), *SOURCES, *ENTRIES]
TESTS = [
    f"{path.name}: {name}"
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    for name in (path.stem, *re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8")))
]
BANNED = {
    r"dead[ -]?letter|\bdlq\b": "quarantine",
    r"micro-?batch": "batch",
    r"(?<!spark.)\bcheckpoint(?!Location)": "ledger, committed offset; or Spark checkpoint",
    r"work[ -]?item": "record",
    r"\bmanifest": "ledger",
    r"hot[ -]?folder": "base",
    r"\bpoison(ed)? (record|image|picture)": "a picture that cannot be judged",
    r"back-?fill": "replay",
    r"\bre-?process": "replay",
    r"end_inclusive|last_offset_inclusive": "end, which is exclusive",
    r"\bworker_id\b": "owner",
    r"temp(orary)? file": "part",
    r"\bhash_hex\b|\bchecksum": "digest",
    r"fingerprint": "digest",
}
EXCEPTIONS = {
    "fingerprint": {"digest.py"},
    "temp(orary)? file": {"jars.py", "layout.py"},
}
"""File names that are TensorFlow's own, or files that are no parts."""


def spelled(term: str) -> re.Pattern[str]:
    """Match a term in prose and in identifiers, with its usual endings."""
    words = [re.escape(word) for word in term.removesuffix("e").split(" ")]
    return re.compile(r"[ _]".join(words), re.IGNORECASE)


def test_there_are_terms_in_alphabetical_order() -> None:
    assert len(TERMS) > 40
    assert sorted(TERMS) == TERMS


@pytest.mark.parametrize("term", TERMS)
def test_every_term_is_used(term: str) -> None:
    pattern = spelled(term)
    assert any(pattern.search(text) for text in SOURCES.values())


@pytest.mark.parametrize("word", sorted(BANNED))
def test_no_other_word_is_used_for_the_same_thing(word: str) -> None:
    pattern = re.compile(word, re.IGNORECASE)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()} (say: {BANNED[word]})"
        for path in OURS
        if path.name not in EXCEPTIONS.get(word, set())
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if pattern.search(line)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("word", sorted(BANNED))
def test_no_tests_name_says_another_word(word: str) -> None:
    pattern = re.compile(word, re.IGNORECASE)
    found = [name for name in TESTS if pattern.search(name.replace("_", " "))]
    assert not found, f"{found} (say: {BANNED[word]})"
