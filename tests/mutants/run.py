"""
Run every mutant in a copy of the tree: `scripts/mutants [NAME …]`.

Fails where one survives, dies of anything but a named part of the promise, does not pass the type
check or the happy path, or no longer applies. What it finds goes into docs/mutants.md.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET  # our own tests write it
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from table import MUTANTS, PROCESSES, Mutant  # noqa: E402 - beside this program

PAGE = ROOT / "docs" / "mutants.md"
HAPPY = f"{PROCESSES}::test_the_happy_path"
COPIED = ("include", "tests", "pyproject.toml")
PACKAGE = Path("include/frameferry")
_PROMISE = re.compile(r"PROMISE BROKEN \[([^\]]+)\]")
_SECONDS = 300
HEAD = """# Mutants

Each of these guards was removed, alone, from a copy of the code. What is left passes the type check
and the happy path, and breaks the named part of the promise in the named test. `scripts/mutants`
runs them all and writes this page; a row says when, and on which commit.

| mutant | the guard that it lacks | killed by | because of | seconds | run on |
|---|---|---|---|---|---|
"""


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant; `why` is a part of the promise where it is dead."""

    mutant: Mutant
    is_killed: bool
    why: str
    seconds: float


def main(names: list[str]) -> int:
    """Run the named mutants, or all."""
    chosen = [one for one in MUTANTS if not names or one.name in names]
    when = today()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder)
        copy_tree(tree)
        if problem := types(tree):
            sys.stdout.write(f"the code itself does not pass the type check: {problem}\n")
            return 1
        verdicts = [told(judge(tree, one)) for one in chosen]
    alive = [verdict.mutant.name for verdict in verdicts if not verdict.is_killed]
    write_page({one.mutant.name: line(one, when) for one in verdicts if one.is_killed})
    minutes = sum(one.seconds for one in verdicts) / 60
    sys.stdout.write(
        f"{len(verdicts) - len(alive)} of {len(verdicts)} killed in {minutes:.0f} minutes; "
        f"left: {alive}\n"
    )
    return 1 if alive else 0


def copy_tree(tree: Path) -> None:
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, tree / name, ignore=ignored)
        else:
            shutil.copy(source, tree / name)


def judge(tree: Path, mutant: Mutant) -> Verdict:
    """Apply, check, run, and put everything back."""
    started = time.monotonic()
    kept = {edit.file: (tree / PACKAGE / edit.file).read_text() for edit in mutant.edits}
    try:
        apply(mutant, tree / PACKAGE)
        is_killed, why = outcome(tree, mutant)
    except (ValueError, subprocess.TimeoutExpired) as error:
        is_killed, why = False, str(error)
    finally:
        for file, text in kept.items():
            (tree / PACKAGE / file).write_text(text)
    return Verdict(mutant, is_killed, why, time.monotonic() - started)


def apply(mutant: Mutant, package: Path) -> None:
    """
    Edit the files.

    Raises:
        ValueError: What is to be replaced does not occur exactly once.
    """
    for edit in mutant.edits:
        text = (package / edit.file).read_text()
        if text.count(edit.old) != 1:
            msg = f"{edit.file} holds {edit.old!r} {text.count(edit.old)} times"
            raise ValueError(msg)
        (package / edit.file).write_text(text.replace(edit.old, edit.new))


def outcome(tree: Path, mutant: Mutant) -> tuple[bool, str]:
    if problem := types(tree):
        return False, f"types: {problem}"
    report = tree / "report.xml"
    run(tree, "pytest", "-q", HAPPY, mutant.killer, f"--junitxml={report}")
    cases = {case.get("name"): case for case in ET.parse(report).iter("testcase")}
    happy = cases.pop("test_the_happy_path", None)
    if happy is None or len(happy):
        return False, "it does not pass the happy path"
    told = " ".join("".join(case.itertext()) for case in cases.values())
    failed = any(case.find(kind) is not None for case in cases.values() for kind in ("failure",))
    named = _PROMISE.search(told)
    if not failed or named is None:
        return False, "it survives" if not failed else f"no part of the promise: {told[-300:]}"
    return True, named[1]


def types(tree: Path) -> str:
    """Check types; return the first complaint."""
    done = run(tree, "mypy", "--no-error-summary", "--cache-dir", str(tree / ".mypy_cache"))
    return done.stdout.strip().partition("\n")[0]


def run(tree: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "PYTHONPATH": str(tree / "include"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )


def told(verdict: Verdict) -> Verdict:
    word = "killed by" if verdict.is_killed else "ALIVE:"
    sys.stdout.write(f"{verdict.mutant.name:22} {word} {verdict.why} ({verdict.seconds:.0f} s)\n")
    sys.stdout.flush()
    return verdict


def write_page(lines: dict[str, str]) -> None:
    """Write what is new beside what is known of the others, in the table's order."""
    known = PAGE.read_text().splitlines(keepends=True) if PAGE.exists() else []
    lines = {row.split()[1]: row for row in known if row.startswith("| ")} | lines
    rows = [lines[one.name] for one in MUTANTS if one.name in lines]
    PAGE.write_text(HEAD + "".join(rows))


def today() -> str:
    """Say the date and the commit, and whether something was changed since."""
    argv = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    done = subprocess.run(
        argv, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    commit = done.stdout.strip() or "no commit"
    return f"{time.strftime('%Y-%m-%d', time.gmtime())}, {commit}"


def line(verdict: Verdict, when: str) -> str:
    mutant = verdict.mutant
    test = mutant.killer.rpartition("::")[2]
    cells = (mutant.name, mutant.guard, f"`{test}`", verdict.why, f"{verdict.seconds:.0f}", when)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
