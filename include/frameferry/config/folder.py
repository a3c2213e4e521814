"""The folder of pipeline files: the whole ones, the broken ones, and those that clash."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from frameferry.config.reading import read_mapping
from frameferry.config.settings import NAME_PATTERN, PipelineSettings, load_pipeline
from frameferry.domain.records import sha256_hex
from frameferry.errors import ConfigError

_MAX_CHARACTERS = 100
"""A file's name may be longer than a DAG's id."""


def pipeline_files(folder: Path) -> tuple[Path, ...]:
    """
    List the pipeline files of a folder by name.

    Raises:
        ConfigError: The folder does not exist.
    """
    if not folder.is_dir():
        msg = f"no folder of pipeline files at {folder}"
        raise ConfigError(
            msg, remedy="Set FRAMEFERRY_PIPELINES, or make the folder and a YAML file in it"
        )
    found = [*folder.glob("*.yaml"), *folder.glob("*.yml")]
    return tuple(sorted(path for path in found if not path.name.startswith(".")))


def load_all(folder: Path) -> tuple[dict[Path, PipelineSettings], dict[Path, ConfigError]]:
    """
    Read every pipeline's file: the whole ones, and why the others are broken.

    Two files with one pipeline name, or with one destination and base, break the later one.
    """
    whole: dict[Path, PipelineSettings] = {}
    broken: dict[Path, ConfigError] = {}
    for path in pipeline_files(folder):
        try:
            settings = load_pipeline(path)
            _refuse_clash(path, settings, whole)
        except ConfigError as error:
            broken[path] = error
        else:
            whole[path] = settings
    return whole, broken


def broken_names(
    whole: Mapping[Path, PipelineSettings], broken: Mapping[Path, ConfigError]
) -> dict[str, ConfigError]:
    """
    Name the broken files, each apart from all others, as a DAG's id may be written.

    A file goes by the pipeline it speaks of, if that can still be read, else by its own name.
    """
    taken = {settings.pipeline for settings in whole.values()}
    named: dict[str, ConfigError] = {}
    for path, error in broken.items():
        name = next(name for name in _names_of(path) if name not in taken)
        taken.add(name)
        named[name] = error
    return named


def _names_of(path: Path) -> Iterator[str]:
    with suppress(ConfigError):
        name = read_mapping(path).get("pipeline")
        if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name):
            yield name
    for name in (path.stem, path.name):
        yield _in_letters_of_ids(name)
    yield from (_in_letters_of_ids(f"{path.name}-{n}") for n in itertools.count(2))


def _in_letters_of_ids(name: str) -> str:
    """Write any file's name as a DAG's id may be written; a long one is cut, with a digest."""
    letters = re.sub(r"[^A-Za-z0-9_.-]", "-", name)
    if len(letters) <= _MAX_CHARACTERS:
        return letters
    return f"{letters[:_MAX_CHARACTERS]}-{sha256_hex(os.fsencode(name))[:8]}"


def find_pipeline(folder: Path, name: str) -> PipelineSettings:
    """
    Read the file of the pipeline of this name.

    Raises:
        ConfigError: No file has that name, or the one that should is broken.
    """
    whole, broken = load_all(folder)
    for settings in whole.values():
        if settings.pipeline == name:
            return settings
    if error := broken_names(whole, broken).get(name):
        raise error
    known = ", ".join(sorted(s.pipeline for s in whole.values())) or "none"
    msg = f"no pipeline {name!r} in {folder}; there are: {known}"
    if broken:
        msg += f"; broken files: {', '.join(sorted(path.name for path in broken))}"
    raise ConfigError(msg, remedy="Check the name, or add its YAML file")


def _refuse_clash(path: Path, new: PipelineSettings, others: dict[Path, PipelineSettings]) -> None:
    for other_path, other in others.items():
        if other.pipeline == new.pipeline:
            msg = f"{path.name}: pipeline: {new.pipeline!r} is taken by {other_path.name}"
            raise ConfigError(msg, remedy="Give one of them another name")
        if _place(other) == _place(new):
            base = f"{new.deliver.base!r} on {new.deliver.connection}"
            msg = f"{path.name}: deliver.base: {base} is taken by {other_path.name}"
            raise ConfigError(msg, remedy="Give each pipeline a base of its own")
        if "json" in {new.deliver.sidecar, other.deliver.sidecar} and _nest(new, other):
            msg = (
                f"{path.name}: deliver.base: {new.deliver.base!r} and {other.deliver.base!r} of "
                f"{other_path.name} lie in one another, so a sidecar could meet a picture"
            )
            raise ConfigError(msg, remedy="Give each a base of its own, or set sidecar to none")


def _nest(one: PipelineSettings, other: PipelineSettings) -> bool:
    """Say whether one pipeline's base lies in the other's, on one server."""
    (server, base), (other_server, other_base) = _place(one), _place(other)
    shorter, longer = sorted((base, other_base), key=len)
    return server == other_server and longer.startswith(f"{shorter.rstrip('/')}/")


def _place(settings: PipelineSettings) -> tuple[str, str]:
    """Tell destinations apart as the ledger does: some servers know no case."""
    return settings.deliver.connection.lower(), settings.deliver.base.casefold()
