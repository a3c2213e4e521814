"""The command that looks at a whole installation."""

from __future__ import annotations

import os
from enum import IntEnum
from typing import Annotated

import typer
from rich.markup import escape

from frameferry.cli.terminal import out, show_json
from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.domain.signs import Sign, Verdict, worst
from frameferry.operations.doctor.diagnosing import diagnose
from frameferry.stack import stack

_COLOURS = {Verdict.OK: "green", Verdict.WARN: "yellow", Verdict.WRONG: "red"}


class Ending(IntEnum):
    """How `frameferry doctor` ends: by the worst of its signs, as `frameferry alarms` does."""

    OK = 0
    WARN = 1
    WRONG = 2


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(doctor)


def doctor(
    pipeline: Annotated[
        str | None, typer.Argument(help="Only what this one needs; all if left out.")
    ] = None,
    *,
    seconds: Annotated[
        float, typer.Option(min=1, help="What each question may take; eight are asked at once.")
    ] = 60,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Look at the whole installation: one line for each thing, ok, warn or wrong, with what to do.

    The exit status is 0 where all is ok, 1 where the worst is a warning, 2 where something is
    wrong.
    """
    if pipeline is not None:
        find_pipeline(pipelines_folder(), pipeline)
    environment = {**os.environ, **stack.environment()}
    signs = []
    for sign in diagnose(
        resolve_from_environment, airflow=environment, pipeline=pipeline, seconds=seconds
    ):
        signs.append(sign)
        if not as_json:
            _show(sign)
    verdict = worst(tuple(signs))
    if as_json:
        show_json({"verdict": verdict, "signs": signs})
    else:
        _sum_up(signs, verdict)
    raise typer.Exit(Ending[verdict.name])


def _show(sign: Sign) -> None:
    about = f" {sign.about}" if sign.about else ""
    remedy = f". {sign.remedy}" if sign.remedy else ""
    out.print(
        f"[{_COLOURS[sign.verdict]}]{sign.verdict:<5}[/] "
        f"{escape(f'{sign.question}{about}: {sign.seen}{remedy}')}",
        highlight=False,
        soft_wrap=True,
    )


def _sum_up(signs: list[Sign], verdict: Verdict) -> None:
    counts = ", ".join(
        f"{sum(one.verdict is each for one in signs)} {each}" for each in reversed(Verdict)
    )
    out.print(f"[{_COLOURS[verdict]}]{verdict}[/]: {counts}", highlight=False)
