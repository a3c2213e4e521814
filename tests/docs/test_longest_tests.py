"""The page of the longest tests names tests that are there, and is what `make test` reads."""

from __future__ import annotations

import re
from pathlib import Path

from longest import PAGE, SHOWN, longest, reasons

ROOT = Path(__file__).parents[2]


def test_each_row_names_a_test_and_says_why() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if "| `tests/" in line]
    assert len(rows) == len(reasons()) >= SHOWN
    for test in reasons():
        path, _, function = test.partition("::")
        source = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {function}\(", source, re.MULTILINE), test


def test_the_longest_come_first_whatever_their_names() -> None:
    lines = [f"{seconds}.5 tests/a.py::test_it[{seconds} s]" for seconds in range(30)]
    shown = longest(lines)
    assert len(shown) == SHOWN
    assert shown[0] == (29.5, "tests/a.py::test_it[29 s]")
