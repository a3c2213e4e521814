"""Every package says at its door what goes in, what comes out and what can fail."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "include/frameferry"
DOORS = sorted(PACKAGE.glob("*/__init__.py"))


def sign(package: Path) -> str:
    return ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""


def test_every_folder_with_code_has_a_door() -> None:
    folders = {path.parent for path in PACKAGE.glob("*/*.py")}
    assert folders == {door.parent for door in DOORS}


@pytest.mark.parametrize("package", DOORS, ids=lambda door: door.parent.name)
def test_the_sign_says_in_out_and_can_fail(package: Path) -> None:
    first, *rest = sign(package).splitlines()
    said = "\n".join(rest)
    assert first.endswith(".")
    for word in ("In: ", "Out: ", "Can fail: "):
        assert word in said
    assert said.index("In: ") < said.index("Out: ") < said.index("Can fail: ")


@pytest.mark.parametrize("package", DOORS, ids=lambda door: door.parent.name)
def test_the_sign_is_read_at_a_glance(package: Path) -> None:
    assert len(sign(package).splitlines()) <= 6


@pytest.mark.parametrize("package", DOORS, ids=lambda door: door.parent.name)
def test_a_door_exports_nothing(package: Path) -> None:
    body = ast.parse(package.read_text(encoding="utf-8")).body
    assert [type(node).__name__ for node in body] == ["Expr"]
