"""docs/doctor.md lists every question of the doctor, and what it looks at."""

from __future__ import annotations

import re
from pathlib import Path

from frameferry.operations.doctor.diagnosing import QUESTIONS

PAGE = (Path(__file__).parents[2] / "docs/doctor.md").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)
    assert list(QUESTIONS.items()) == rows
