"""The folder of pipeline files: the whole ones, the broken ones, and those that clash."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from frameferry.config.connections import ConnectionResolver, ftp_connection
from frameferry.config.reading import read_mapping
from frameferry.config.settings import NAME_PATTERN, PipelineSettings, load_pipeline
from frameferry.domain.records import sha256_hex
from frameferry.errors import ConfigError, FrameferryError

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

    If two files have one pipeline name, or one destination and base, the later one is broken. Files
    are read again only once one of them has changed: `wait` asks every few seconds.
    """
    whole, broken = _loaded(tuple((path, _stamp(path)) for path in pipeline_files(folder)))
    return dict(whole), dict(broken)


Stamp = tuple[int, ...] | None


def _stamp(path: Path) -> Stamp:
    """Return what changes with a file's content, as far as its folder tells; None if it is gone."""
    try:
        found = path.stat()
    except OSError:
        return None
    # Nobody can set the time of a file's last change of any kind.
    return found.st_ctime_ns, found.st_mtime_ns, found.st_size, found.st_ino


@lru_cache(maxsize=4)
def _loaded(
    files: tuple[tuple[Path, Stamp], ...],
) -> tuple[Mapping[Path, PipelineSettings], Mapping[Path, ConfigError]]:
    whole: dict[Path, PipelineSettings] = {}
    broken: dict[Path, ConfigError] = {}
    for path, _ in files:
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
    Name the broken files, each uniquely, as a DAG's id may be written.

    A file goes by the pipeline it speaks of, if that can still be read, otherwise by its own name.
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
    Read the file of the pipeline with this name.

    Raises:
        ConfigError: No file has that name, or the one that should is broken.
    """
    return _found(folder, name)[1]


def find_again(folder: Path, name: str) -> PipelineSettings:
    """
    Read a pipeline's file again only if it has changed, for those who ask every few seconds.

    Looks at the folder and at this one file. If another file was changed so that the two clash now,
    `find_pipeline` finds it before anything is done.

    Raises:
        ConfigError: As `find_pipeline`.
    """
    kept = _KEPT.get((folder, name))
    if kept is None or kept.stamps != (_stamp(folder), _stamp(kept.path)):
        path, _ = _found(folder, name)
        # Stamped before it is read: what changes meanwhile has another stamp the next time.
        stamps = _stamp(folder), _stamp(path)
        kept = _KEPT[folder, name] = _Kept(path, stamps, _found(folder, name)[1])
    return kept.settings


class _Kept(NamedTuple):
    path: Path
    stamps: tuple[Stamp, Stamp]
    settings: PipelineSettings


_KEPT: Final[dict[tuple[Path, str], _Kept]] = {}


def _found(folder: Path, name: str) -> tuple[Path, PipelineSettings]:
    whole, broken = load_all(folder)
    for path, settings in whole.items():
        if settings.pipeline == name:
            return path, settings
    if error := broken_names(whole, broken).get(name):
        raise error
    known = ", ".join(sorted(s.pipeline for s in whole.values())) or "none"
    msg = f"no pipeline {name!r} in {folder}; there are: {known}"
    if broken:
        msg += f"; broken files: {', '.join(sorted(path.name for path in broken))}"
    raise ConfigError(msg, remedy="Check the name, or add its YAML file")


def shared_places(
    whole: Mapping[Path, PipelineSettings], resolve: ConnectionResolver
) -> dict[Path, ConfigError]:
    """
    Find the later files that clash on one server under two connection ids.

    `load_all` cannot see it, since it resolves no connection. One that cannot be resolved is left
    out: whoever opens it says so.
    """
    servers = {
        path: server for path, settings in whole.items() if (server := server_of(settings, resolve))
    }
    found: dict[Path, ConfigError] = {}
    for other, path in itertools.combinations(servers, 2):
        if servers[other] == servers[path]:
            clash = _clash(path, whole[path], other, whole[other])
            if clash is not None:
                found.setdefault(path, clash)
    return found


def server_of(settings: PipelineSettings, resolve: ConnectionResolver) -> str | None:
    """Name server and user, if the connection resolves; a host's name has no case."""
    try:
        connection = ftp_connection(resolve(settings.deliver.connection))
    except FrameferryError:
        return None
    return connection.model_copy(update={"host": connection.host.lower()}).destination


def _refuse_clash(path: Path, new: PipelineSettings, others: dict[Path, PipelineSettings]) -> None:
    for other_path, other in others.items():
        if other.pipeline == new.pipeline:
            msg = f"{path.name}: pipeline: {new.pipeline!r} is taken by {other_path.name}"
            raise ConfigError(msg, remedy="Give one of them another name")
        same_server = other.deliver.connection.lower() == new.deliver.connection.lower()
        if same_server and (clash := _clash(path, new, other_path, other)):
            raise clash


def _clash(
    path: Path, new: PipelineSettings, other_path: Path, other: PipelineSettings
) -> ConfigError | None:
    """Say what is wrong if both deliver to one server, and their files could meet."""
    base, other_base = _base(new), _base(other)
    if base == other_base:
        where = f"{new.deliver.base!r} on {new.deliver.connection}"
        msg = f"{path.name}: deliver.base: {where} is taken by {_owner(other_path, other, new)}"
        return ConfigError(msg, remedy="Give each pipeline a base of its own")
    if "json" in {new.deliver.sidecar, other.deliver.sidecar} and _nest(base, other_base):
        msg = (
            f"{path.name}: deliver.base: {new.deliver.base!r} and {other.deliver.base!r} of "
            f"{_owner(other_path, other, new)} lie in one another, so a sidecar could meet a "
            "picture"
        )
        return ConfigError(msg, remedy="Give each a base of its own, or set sidecar to none")
    return None


def _owner(path: Path, owner: PipelineSettings, new: PipelineSettings) -> str:
    theirs, ours = owner.deliver.connection, new.deliver.connection
    if theirs.lower() == ours.lower():
        return path.name
    return f"{path.name} (pipeline {owner.pipeline}, whose {theirs} is the same server and user)"


def _base(settings: PipelineSettings) -> str:
    """Tell bases apart as the ledger does: some servers ignore case."""
    return settings.deliver.base.casefold()


def lie_together(base: str, other: str) -> bool:
    """Say whether two bases are one, or one lies in the other; some servers ignore case."""
    one, another = base.casefold(), other.casefold()
    return one == another or _nest(one, another)


def _nest(base: str, other: str) -> bool:
    """Say whether one of two bases lies in the other."""
    shorter, longer = sorted((base, other), key=len)
    return longer.startswith(f"{shorter.rstrip('/')}/")
