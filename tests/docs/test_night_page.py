"""Each command of the night page is one that the command line takes, word by word."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from frameferry.cli.main import app

PAGE = (Path(__file__).parents[2] / "docs/recovery.md").read_text(encoding="utf-8")
NIGHT = PAGE[PAGE.index("## At night") :].split("\n## ")[0]
COMMANDS = re.findall(r"\| `frameferry ([^`]+)` \|$", NIGHT, re.MULTILINE)


def test_every_row_has_one_command() -> None:
    rows = [line for line in NIGHT.splitlines() if line.startswith("| ")]
    assert len(COMMANDS) == len(rows) - 1 > 15


@pytest.mark.parametrize("line", COMMANDS)
def test_the_command_line_takes_it(line: str) -> None:
    command, name, words = typer.main.get_command(app), "frameferry", shlex.split(line)
    context = command.make_context(name, words)
    while hasattr(command, "resolve_command"):
        left = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, left)
        context = command.make_context(name, words, parent=context)
    assert command.callback is not None
