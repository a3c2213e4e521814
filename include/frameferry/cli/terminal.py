"""Write to the terminal: tables for people, JSON for programs, errors in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from frameferry.errors import FrameferryError

out = Console(soft_wrap=False, emoji=False)
err = Console(stderr=True, soft_wrap=True, emoji=False)


class ListsByDefault(TyperGroup):
    """A group of commands of which `list` is meant where none is named: `quarantine PIPELINE`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override] # Typer hides the class that it hands in
        """Read the arguments, with `list` before those that begin with none of the commands."""
        return super().parse_args(ctx, self.completed(args))

    def completed(self, args: list[str]) -> list[str]:
        """Put `list` before what is none of the commands and asks for no help."""
        return args if not args or args[0] in {*self.commands, "--help"} else ["list", *args]


def show_error(error: FrameferryError) -> None:
    """Say in one line what happened, where, and what to do."""
    err.print(f"[bold red]error[/]: {escape(str(error))}", highlight=False)


def show_json(value: object) -> None:
    """Print a value as JSON on stdout; times in ISO 8601."""
    out.print_json(json.dumps(_plain(value), ensure_ascii=False), indent=2)


def show_table(title: str, rows: Sequence[object], columns: Mapping[str, str]) -> None:
    """
    Print rows as a table.

    Args:
        title: Above the table.
        rows: Dataclasses or mappings.
        columns: Field to heading, in order.
    """
    table = Table(title=title, title_justify="left")
    for heading in columns.values():
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(_cells(_field(row, name)) for name in columns))
    out.print(table)


def columns_said(
    rows: Sequence[object], columns: Mapping[str, str], optional: Sequence[str]
) -> dict[str, str]:
    """Leave out of *columns* the optional ones of which no row says anything."""
    said = {name for name in optional if any(_field(row, name) is not None for row in rows)}
    return {name: head for name, head in columns.items() if name in said or name not in optional}


def _field(row: object, name: str) -> object:
    return row[name] if isinstance(row, Mapping) else getattr(row, name)


def _cells(value: object) -> str:
    return ", ".join(map(_cell, value)) if isinstance(value, (list, tuple)) else _cell(value)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, datetime):
        return value.isoformat()
    return escape(str(value))


def _plain(value: Any) -> Any:  # noqa: ANN401 - JSON values are of any type
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
