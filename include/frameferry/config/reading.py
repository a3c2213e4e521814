"""Read YAML strictly, and explain what is wrong with it by file and key."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from frameferry.errors import ConfigError

_UNREADABLE = (OSError, ValueError, RecursionError, LookupError, AttributeError)
"""The last two come out of PyYAML itself, for values that are not of the type they are tagged."""
_DOCS = "See docs/configuration.md"


class _StrictLoader(yaml.SafeLoader):
    """A safe loader that refuses a key given twice; YAML's own would keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - PyYAML's signature
        keys = [key.value for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                msg = "found a key that stands here twice"
                raise yaml.constructor.ConstructorError(
                    None, None, f"{msg}: {key}", node.start_mark
                )
        return super().construct_mapping(node, deep=deep)


def read_mapping(path: Path) -> dict[Any, Any]:
    """
    Read a YAML file that must hold one mapping.

    Raises:
        ConfigError: It cannot be read, is not YAML, names a key twice, or holds something else.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _StrictLoader)  # noqa: S506 - a safe loader
    except (*_UNREADABLE, yaml.YAMLError) as error:
        msg = f"{path.name}: cannot be read as YAML: {' '.join(str(error).split())}"
        raise ConfigError(msg, remedy=f"Mend {path}") from error
    if not isinstance(content, dict):
        msg = f"{path.name}: must be a mapping with the keys pipeline, kafka, model, deliver"
        raise ConfigError(msg, remedy=f"{_DOCS} and mend {path}")
    return content


def explained(path: Path, content: object, error: ValidationError) -> ConfigError:
    """Make one error of all that validation found: file, key and what is wrong with it."""
    found = [
        (
            tuple(_keys(content, problem["loc"], missing=problem["type"] == "missing")),
            problem["msg"],
        )
        for problem in error.errors(include_url=False)
    ]
    lines = [
        f"{path.name}: {'.'.join(keys) or 'file'}: {message.removeprefix('Value error, ')}"
        for keys, message in found
        if not any(_is_below(other, keys) for other, _ in found)
    ]
    return ConfigError("; ".join(dict.fromkeys(lines)), remedy=f"{_DOCS} and mend {path}")


def _is_below(keys: tuple[str, ...], above: tuple[str, ...]) -> bool:
    """Say whether *keys* is the nearer cause; *above* is then another form that did not fit."""
    return bool(above) and len(keys) > len(above) and keys[: len(above)] == above


def _keys(content: object, loc: tuple[int | str, ...], *, missing: bool) -> Iterator[str]:
    """Yield the parts of a place that are in the file: pydantic also names the types it tried."""
    for number, part in enumerate(loc, start=1):
        found = _has(content, part)
        if found or (missing and number == len(loc)):
            yield str(part)
        if found:
            content = content[part]  # type: ignore[index]


def _has(content: object, part: int | str) -> bool:
    if isinstance(content, dict):
        return part in content
    return isinstance(content, list) and isinstance(part, int) and part < len(content)
