"""
Print the longest tests, each with why it needs its time: `longest.py FILE`.

FILE is what `pytest --times=FILE` wrote, any number of times; why is in docs/tests.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "tests.md"
_ROW = re.compile(r"^\| `(tests/[\w/]+\.py::\w+)` \| (.+) \|$", re.MULTILINE)
SHOWN = 20


def reasons() -> dict[str, str]:
    """Read why tests need their time, by file and function."""
    return dict(_ROW.findall(PAGE.read_text(encoding="utf-8")))


def longest(lines: list[str]) -> list[tuple[float, str]]:
    """Order the tests of a run, the longest first."""
    pairs = (line.split(maxsplit=1) for line in lines)
    return sorted(((float(seconds), name) for seconds, name in pairs), reverse=True)[:SHOWN]


def main(path: Path) -> None:
    known = reasons()
    sys.stdout.write(f"The {SHOWN} longest tests, in seconds, and why:\n")
    for seconds, name in longest(path.read_text(encoding="utf-8").splitlines()):
        why = known.get(name.partition("[")[0], "docs/tests.md does not say why")
        sys.stdout.write(f"{seconds:6.1f}  {name}\n        {why}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
