"""
Import a judge's module so that what runs is what was digested.

Python may run a compiled file in a source's place, and tells the two apart by a time in seconds and
a size; so compiled files are not used here, and a source whose bytes are not the digested ones is
not run. A changed package is imported anew, all of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Final

from frameferry.domain.records import sha256_hex
from frameferry.inference.own.code import FoundCode, file_digests


class _Source(SourceFileLoader):
    """Loads a module from its source, if it is the digested one."""

    def __init__(self, name: str, path: str, digests: Mapping[str, str]) -> None:
        super().__init__(name, path)
        self._digests = digests

    def get_code(self, fullname: str) -> CodeType:
        source = self.get_data(self.path)
        if sha256_hex(source) != self._digests.get(self.path):
            msg = f"{self.path} changed after it was digested"
            raise ImportError(msg, name=fullname, path=self.path)
        return self.source_to_code(source, self.path)


class _Finder(MetaPathFinder):
    """Finds the modules of one package; stays as long as they may import each other."""

    def __init__(self, found: FoundCode, digests: Mapping[str, str]) -> None:
        self.digests = digests
        self._found = found

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        package = self._found.package
        if fullname == package:
            spec: ModuleSpec | None = _copied(self._found.spec)
        elif fullname.startswith(f"{package}."):
            spec = PathFinder.find_spec(fullname, path, target)
        else:
            return None
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Source(fullname, spec.loader.path, self.digests)
        return spec


_FINDERS: Final[dict[str, _Finder]] = {}


def imported(found: FoundCode) -> ModuleType:
    """
    Import the module, anew if any file of its package is another than it was.

    Raises:
        ModelMismatch: A file cannot be read. Whatever the module itself raises comes through.
    """
    digests = file_digests(found)
    known = _FINDERS.get(found.package)
    if known is None or known.digests != digests:
        _forget(found.package)
        _FINDERS[found.package] = finder = _Finder(found, digests)
        sys.meta_path.insert(0, finder)
    return importlib.import_module(found.module)


def _forget(package: str) -> None:
    for name in [one for one in sys.modules if one == package or one.startswith(f"{package}.")]:
        del sys.modules[name]
    former = _FINDERS.pop(package, None)
    if former in sys.meta_path:
        sys.meta_path.remove(former)


def _copied(spec: ModuleSpec) -> ModuleSpec:
    """Copy a spec, which one module takes over."""
    places = spec.submodule_search_locations
    copy = ModuleSpec(spec.name, spec.loader, origin=spec.origin, is_package=places is not None)
    copy.has_location = spec.has_location
    if places is not None:
        copy.submodule_search_locations = [*places]
    return copy
