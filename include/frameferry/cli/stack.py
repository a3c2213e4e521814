"""`frameferry stack`: the embedded servers."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated, Any

import typer

from frameferry.cli.terminal import err, show_json, show_table
from frameferry.stack import stack

app = typer.Typer(no_args_is_help=True, help="Start, stop and describe the embedded servers.")


@app.command()
def up(
    only: Annotated[
        str | None, typer.Option(help="Some of kafka,spark,ftp,airflow, with commas.")
    ] = None,
) -> None:
    """Start the embedded servers that do not run yet."""
    names = None if only is None else [name.strip() for name in only.split(",") if name.strip()]
    stack.up(names, on_progress=lambda message: err.print(message, highlight=False))
    status()


@app.command()
def down() -> None:
    """Stop every embedded server; their state stays."""
    stack.down()


@app.command()
def status(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show each server's address and how to log in."""
    state = stack.status()
    if as_json:
        show_json(state)
        return
    rows = [
        {"server": name, "what": key, "value": value}
        for name, fields in state.items()
        for key, value in _fields(fields).items()
    ]
    show_table("Embedded stack", rows, {"server": "server", "what": "what", "value": "value"})


@app.command()
def env() -> None:
    """Print the shell lines that point any program at the embedded servers."""
    for name, value in stack.environment().items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def _fields(value: Any) -> dict[str, Any]:  # noqa: ANN401 - a JSON value
    return value if isinstance(value, dict) else {"": value}
