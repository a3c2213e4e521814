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
    taken: dict[str, float] = {}
    for seconds, name in (line.split(maxsplit=1) for line in lines):
        # A process that runs tests for another writes its own times, and the other writes them too.
        taken[name] = max(float(seconds), taken.get(name, 0.0))
    return sorted(((seconds, name) for name, seconds in taken.items()), reverse=True)[:SHOWN]


def main(path: Path) -> None:
    known = reasons()
    sys.stdout.write(f"The {SHOWN} longest tests, in seconds, and why:\n")
    for seconds, name in longest(path.read_text(encoding="utf-8").splitlines()):
        why = known.get(name.partition("[")[0], "docs/tests.md does not say why")
        sys.stdout.write(f"{seconds:6.1f}  {name}\n        {why}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
