"""`frameferry demo`: the whole chain on generated pictures."""

from __future__ import annotations

from typing import Annotated

import typer

from frameferry.stack import layout


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(demo)


def demo(
    *,
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop everything at the end instead of staying up.")
    ] = False,
    started: Annotated[
        float | None,
        typer.Option(help="When the command was given, in seconds since 1970.", hidden=True),
    ] = None,
) -> None:
    """Carry two equipments' generated pictures through Kafka, Spark, Airflow and FTP."""
    layout.checkout()
    from frameferry.demo.run import run_demo  # noqa: PLC0415 - only a checkout has it

    raise typer.Exit(run_demo(leave=leave, started=started))
