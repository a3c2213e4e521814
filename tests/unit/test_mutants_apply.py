"""Mutants that no longer fit the code prove nothing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "include" / "frameferry"
sys.path.insert(0, str(ROOT / "tests" / "mutants"))

from table import MUTANTS  # noqa: E402 - beside its program, not a package


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_changes_one_place_each(mutant):
    for edit in mutant.edits:
        assert 1 == (PACKAGE / edit.file).read_text().count(edit.old), edit
        assert edit.old != edit.new


def test_there_are_enough_mutants_and_no_name_is_used_twice():
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names) >= 16


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutants_killer_is_there(mutant):
    file, _, test = mutant.killer.partition("::")
    assert f"def {test.partition('[')[0]}(" in (ROOT / file).read_text()
