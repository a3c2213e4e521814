"""The tree in the docstring of errors.py is the tree of the classes."""

from __future__ import annotations

import re
from collections.abc import Iterator

from frameferry import errors
from frameferry.errors import FrameferryError

LINE = re.compile(r"^(?P<branch>[│├└─ ]*)(?P<name>[A-Z]\w+)(?: {2,}(?P<text>.+))?$")
INDENT = 4


def drawn() -> Iterator[tuple[int, str, str]]:
    for line in (errors.__doc__ or "").splitlines():
        if found := LINE.match(line):
            yield len(found["branch"]) // INDENT, found["name"], found["text"] or ""


def walked(cls: type[FrameferryError], depth: int = 0) -> Iterator[tuple[int, str, str]]:
    yield depth, cls.__name__, (cls.__doc__ or "").strip().splitlines()[0].removesuffix(".")
    for child in cls.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from walked(child, depth + 1)


def without_case_of_first_letter(text: str) -> str:
    return text[:1].lower() + text[1:]


def test_the_tree_shows_every_class_at_its_place() -> None:
    expected = [(depth, name) for depth, name, _ in walked(FrameferryError)]
    assert expected == [(depth, name) for depth, name, _ in drawn()]


def test_the_tree_says_what_each_class_says() -> None:
    said = {name: text for _, name, text in drawn() if text}
    for _, name, text in walked(FrameferryError):
        if name != FrameferryError.__name__:
            assert without_case_of_first_letter(text) == without_case_of_first_letter(said[name])


def test_a_child_hangs_below_its_own_parent() -> None:
    path: list[str] = []
    for depth, name, _ in drawn():
        path[depth:] = [name]
        if depth:
            assert path[depth - 1] == getattr(errors, name).__bases__[0].__name__
