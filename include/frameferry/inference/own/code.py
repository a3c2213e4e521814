"""
Find the code of a judge of yours, and digest it, without running any of it.

Planning and parsing import nothing of yours: where a module lies is asked of Python's finders, and
that it has the class is read from its source.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Final

from frameferry.domain.records import sha256_hex
from frameferry.errors import ModelMismatch

MOST_FILES: Final = 2000
"""Files of a package that are digested: each is looked at before each task."""
_COMPILED: Final = "__pycache__"
_OURS: Final = "frameferry"


@dataclass(frozen=True, slots=True)
class FoundCode:
    """
    The code behind `model.judge`.

    `files` are all that count: those of the whole package that the module lies in, or the one
    module; by name, relative to the folder above.
    """

    judge: str
    module: str
    attribute: str
    file: Path
    spec: ModuleSpec
    files: dict[str, Path]

    @property
    def package(self) -> str:
        """The first word of the module's name."""
        return self.module.partition(".")[0]


def foreign(judge: str, what: str, remedy: str) -> ModelMismatch:
    """Make the error about a judge of yours, by its name in the pipeline's file."""
    return ModelMismatch(f"model.judge: {what}", remedy=remedy, model=judge)


def find_code(judge: str) -> FoundCode:
    """
    Find the module of a judge, `package.module:Class`.

    Raises:
        ModelMismatch: It is not there, is none of yours, cannot be read, or has no such class.
    """
    module, _, attribute = judge.partition(":")
    package = module.partition(".")[0]
    if package == _OURS or package in sys.stdlib_module_names:
        what = f"{package} is no package of yours"
        raise foreign(judge, what, "Name a module of your own, as in model.judge: surfaces:Judge")
    spec, top = _spec(judge, module)
    file = Path(spec.origin or "")
    if file.suffix != ".py":
        what = f"{module} is not written in Python: {spec.origin or 'a folder without __init__.py'}"
        raise foreign(judge, what, "Put a class into a .py file, which may import the rest")
    _refuse_attribute(judge, file, attribute)
    return FoundCode(judge, module, attribute, file, top, _files(judge, top))


def is_code_here(judge: str) -> bool:
    """Say whether the module of a judge is on this machine; what it holds is not looked at."""
    return None not in _specs(judge.partition(":")[0])


def code_digest(found: FoundCode) -> str:
    """
    Digest all files of the code, names included.

    Raises:
        ModelMismatch: A file went away or cannot be read.
    """
    digests = file_digests(found)
    named = {name: digests[str(path)] for name, path in found.files.items()}
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(named.items()))
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def file_digests(found: FoundCode) -> dict[str, str]:
    """
    Digest each file of the code, by its path.

    Raises:
        ModelMismatch: A file went away or cannot be read.
    """
    try:
        return {str(path): sha256_hex(path.read_bytes()) for path in found.files.values()}
    except OSError as error:
        raise foreign(found.judge, f"its code cannot be read: {error}", "Put it back") from error


def _spec(judge: str, module: str) -> tuple[ModuleSpec, ModuleSpec]:
    found, top = _specs(module)
    if top is None or found is None:
        what = f"there is no module {module} in the Python at {sys.executable}"
        remedy = (
            "Install it here and in the Python of Spark's workers, or put the folder that it lies "
            "in on the PYTHONPATH of both"
        )
        raise foreign(judge, what, remedy)
    return found, top


def _specs(module: str) -> tuple[ModuleSpec | None, ModuleSpec | None]:
    """Find a module and its first package. Nothing is imported, parents neither."""
    importlib.invalidate_caches()
    first, *rest = module.split(".")
    top = found = _top_spec(first)
    name = first
    for part in rest:
        name = f"{name}.{part}"
        places = found.submodule_search_locations if found else None
        found = _inner_spec(name, list(places)) if places else None
    return found, top


def _inner_spec(name: str, places: list[str]) -> ModuleSpec | None:
    try:
        return PathFinder.find_spec(name, places)
    except (
        KeyError
    ):  # a folder without __init__.py: Python asks for its parent, which is not loaded
        spec = ModuleSpec(name, None, is_package=True)
        last = name.rpartition(".")[2]
        spec.submodule_search_locations = [str(Path(place) / last) for place in places]
        return spec


def _top_spec(name: str) -> ModuleSpec | None:
    """Find a package on the path, as it is now and not as it was loaded; or by others' finders."""
    try:
        return PathFinder.find_spec(name) or importlib.util.find_spec(name)
    except ValueError:  # something that is loaded and has no place
        return None


def _files(judge: str, top: ModuleSpec) -> dict[str, Path]:
    places = top.submodule_search_locations
    if places is None:
        return {Path(top.origin or "").name: Path(top.origin or "")}
    found: dict[str, Path] = {}
    for name, path in _below(map(Path, places)):
        found[name] = path
        if len(found) > MOST_FILES:
            what = f"the package {top.name} has more than {MOST_FILES:,} files, and all count"
            raise foreign(judge, what, "Put the judge into a small package of its own")
    return found


def _below(places: Iterator[Path]) -> Iterator[tuple[str, Path]]:
    for place in places:
        for path in sorted(place.rglob("*")):
            if _COMPILED not in path.parts and path.is_file():
                yield path.relative_to(place.parent).as_posix(), path


def _refuse_attribute(judge: str, file: Path, attribute: str) -> None:
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (OSError, SyntaxError, ValueError) as error:
        what = f"{file} cannot be read: {' '.join(str(error).split())}"
        raise foreign(judge, what, "Mend the module") from error
    names = set(_bound(tree))
    if attribute not in names and "*" not in names:
        classes = [node.name for node in tree.body if isinstance(node, ast.ClassDef)]
        what = f"{file} has no {attribute}; its classes: {', '.join(classes) or 'none'}"
        raise foreign(judge, what, "Correct the word behind the colon")


def _bound(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module binds; `*` if it takes all of another's."""
    for node in ast.walk(tree):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (one.asname or one.name for one in names)
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
