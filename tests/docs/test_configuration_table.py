"""docs/configuration.md lists every key that can be set, with its default and meaning."""

from __future__ import annotations

import re
import types
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, ByteSize
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from frameferry.config.connections import FtpConnection
from frameferry.config.notifiers import NotifierSettings, notifiers
from frameferry.config.settings import PipelineSettings, load_pipeline
from frameferry.inference.card import Card

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
KINDS = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
    ByteSize: "bytes, as in `2GiB`",
    datetime: "a time with zone",
    dict: "an offset per partition",
    tuple: "list",
}


def expected_rows(model: type[BaseModel] = PipelineSettings, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        inner = settings_of(field)
        if field.description:
            value = f"{value_of(field.annotation)}{bounds_of(field)}"
            yield f"| `{key}` | {value} | {default_of(field)} | {field.description} |"
        if inner is not None:
            yield from expected_rows(inner, f"{key}.")


def settings_of(field: FieldInfo) -> type[BaseModel] | None:
    return next((kind for kind in leaves(field.annotation) if is_model(kind)), None)


def is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def leaves(annotation: Any) -> Iterator[Any]:
    """Yield the alternatives of an annotation, without what only validates them."""
    if hasattr(annotation, "__metadata__"):
        yield from leaves(get_args(annotation)[0])
    elif get_origin(annotation) in {Union, types.UnionType}:
        for one in get_args(annotation):
            yield from leaves(one)
    elif annotation is not type(None):
        yield annotation


def value_of(annotation: Any) -> str:
    return " or ".join(word for kind in leaves(annotation) for word in words_of(kind))


def words_of(kind: Any) -> list[str]:
    if get_origin(kind) is Literal:
        return [f"`{value}`" for value in get_args(kind)]
    is_mapping = is_model(kind) or (get_args(kind)[:1] == (str,) and get_origin(kind) is dict)
    return ["mapping"] if is_mapping else [KINDS[get_origin(kind) or kind]]


def bounds_of(field: FieldInfo) -> str:
    bounds = {
        name: getattr(m, name)
        for m in field.metadata
        for name in ("ge", "gt", "le")
        if hasattr(m, name)
    }
    if "le" in bounds:
        return f", {bounds['ge']} to {bounds['le']}"
    if bounds.get("gt") == 0:
        return ", above 0"
    at_least = bounds.get("ge")
    return "" if at_least is None or ByteSize in leaves(field.annotation) else f", from {at_least}"


def default_of(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "required"
    if field.default is None:
        return ""
    if isinstance(field.default, ByteSize):
        return f"`{field.default.human_readable().replace('.0', '')}`"
    if isinstance(field.default, tuple):
        return f"`[{', '.join(map(str, field.default))}]`"
    shown = str(field.default)
    return f"`{shown.lower() if isinstance(field.default, bool) else shown}`"


def table_after(marker: str) -> list[str]:
    lines = PAGE[PAGE.index(marker) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|---"))
    rows = []
    for line in lines[start + 1 :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


def keys_in(rows: list[str]) -> set[str]:
    return {key for row in rows for key in re.findall(r"`([a-z_]+)`", row.split("|")[1])}


def test_the_table_is_what_the_settings_say() -> None:
    rows = list(expected_rows())
    assert rows == table_after("<!-- table: frameferry.config.settings -->"), "\n" + "\n".join(rows)


def test_every_setting_says_what_it_means() -> None:
    named = {row.split("`")[1] for row in expected_rows()}
    for block, field in PipelineSettings.model_fields.items():
        model = settings_of(field)
        if model is not None:
            keys = (f"{block}.{name}" for name in model.model_fields)
            assert all(any(f"{one}.".startswith(f"{key}.") for one in named) for key in keys)


def test_the_cards_keys_are_all_there() -> None:
    assert set(Card.model_fields) == keys_in(table_after("| key of `card.yaml`"))


def test_the_ftp_extras_are_all_there() -> None:
    own = {"conn_id", "host", "port", "user", "password"}
    renamed = {"timeout_seconds": "timeout"}
    expected = {renamed.get(name, name) for name in FtpConnection.model_fields if name not in own}
    assert expected == keys_in(table_after("### FTP"))


@pytest.mark.parametrize("row", table_after("### FTP"))
def test_the_defaults_of_the_ftp_extras_are_true(row: Any) -> None:
    key, default = (cell.strip().strip("`") for cell in row.split("|")[1:3])
    field = FtpConnection.model_fields[{"timeout": "timeout_seconds"}.get(key, key)]
    actual = "" if field.default is None else str(field.default)
    assert default == (actual.lower() if isinstance(field.default, bool) else actual)


def test_the_example_is_a_whole_file(tmp_path: Path) -> None:
    example = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "press-a.yaml"
    path.write_text(example[1], encoding="utf-8")
    assert load_pipeline(path).pipeline == "press-a"


def test_the_table_of_notifiers_is_what_their_settings_say() -> None:
    rows = list(expected_rows(NotifierSettings))
    assert rows == table_after("<!-- table: frameferry.config.notifiers -->"), "\n".join(rows)


def test_the_example_of_notifiers_is_a_whole_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = re.search(r"```yaml\n(notifiers:\n.*?)```", PAGE, re.DOTALL)
    assert example is not None
    path = tmp_path / "notifiers.yaml"
    path.write_text(example[1], encoding="utf-8")
    monkeypatch.setenv("FRAMEFERRY_NOTIFIERS", str(path))
    mail, slack = notifiers()
    assert (mail.tells, slack.tells) == (("alarms",), ("alarms", "failures"))
