"""The commands that continuous integration and a stranger run."""

from __future__ import annotations

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TESTS = ROOT / "tests"


def test_make_test_runs_every_kind_of_test():
    recipe = (ROOT / "Makefile").read_text()
    run = set(re.findall(r"tests/(\w+)\b(?!\.py)", recipe))
    kinds = {path.parent.relative_to(TESTS).parts[0] for path in TESTS.glob("*/**/test_*.py")}
    assert kinds == run


def test_continuous_integration_calls_what_anybody_can_call_and_nothing_else():
    script = ROOT / ".ci" / "run"
    lines = [line for line in script.read_text().splitlines() if not line.startswith("#")]
    tests = ["make test", "make test-ftp-servers", "make test-prometheus"]
    assert ["set -eu", 'cd "$(dirname "$0")/.."', *tests] == lines
    assert os.access(script, os.X_OK)


def test_every_name_that_make_offers_is_a_command_not_a_file():
    recipe = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", recipe, re.MULTILINE))
    phony = re.search(r"^\.PHONY: (.*)$", recipe, re.MULTILINE)[1]
    checks = re.search(r"^CHECKS := (.*)$", recipe, re.MULTILINE)[1]
    assert targets == set(phony.replace("$(CHECKS)", checks).split())
