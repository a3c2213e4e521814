"""The commands that act: check, run, unblock, sweep."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from frameferry.cli.session import explained, session
from frameferry.cli.terminal import out, show_error, show_json
from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import load_all, shared_places
from frameferry.config.home import pipelines_folder
from frameferry.config.person import person
from frameferry.config.settings import PipelineSettings
from frameferry.errors import ConfigError, FrameferryError, encodable
from frameferry.operations.check import check_pipeline, spark_advice
from frameferry.operations.unblock import unblock as unblock_pipeline
from frameferry.pipeline.context import Context, open_context
from frameferry.pipeline.deliver.sweeping import sweep as sweep_parts
from frameferry.pipeline.run import Carried, run_once, run_until_caught_up
from frameferry.pipeline.steps import wait


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(check)
    app.command()(run)
    app.command()(unblock)
    app.command()(sweep)


def check() -> None:
    """Validate every pipeline file, its connections and its model; look at Spark's settings."""
    whole, broken = load_all(pipelines_folder())
    if not whole and not broken:
        msg = f"no pipeline file in {pipelines_folder()}"
        raise ConfigError(msg, remedy="Add one YAML file per equipment")
    problems: list[FrameferryError] = list(broken.values())
    asked: set[str] = set()
    shared = shared_places(whole, resolve_from_environment)
    for path, settings in whole.items():
        found = _problems(settings)
        if path in shared:
            found.append(shared[path].at(pipeline=settings.pipeline))
        problems += found
        if not found:
            out.print(f"{escape(encodable(path.name))}: [green]ok[/]", highlight=False)
            for line in _spark_advice(settings, asked):
                out.print(f"  spark: {line}", highlight=False, markup=False)
    for problem in problems:
        show_error(problem)
    if problems:
        raise typer.Exit(1)


def run(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    until_caught_up: Annotated[
        bool, typer.Option("--until-caught-up", help="Go on until nothing is plannable.")
    ] = False,
) -> None:
    """
    Plan and carry batches: infer, deliver, commit, publish.

    With --until-caught-up the exit status is 1 where something is left: a batch that backs off,
    is held by another process or waits for a person.
    """
    with session(pipeline) as ctx:
        carried = run_until_caught_up(ctx) if until_caught_up else _carried_once(ctx)
        counts = ctx.ledger.counts(pipeline)
    missed = until_caught_up and not carried.is_caught_up
    reason = f" ({carried.reason})" if missed or not carried.batches else ""
    out.print(
        f"{pipeline}: {'NOT caught up: ' if missed else ''}{carried.batches} batches carried"
        f"{reason}; in all {counts.delivered:,} delivered, {counts.quarantined:,} quarantined",
        highlight=False,
        markup=False,
    )
    if missed:
        raise typer.Exit(1)


def _carried_once(ctx: Context) -> Carried:
    batches = run_once(ctx)
    return Carried(batches, is_caught_up=False, reason="" if batches else wait(ctx).reason)


def unblock(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    judge_again: Annotated[
        bool,
        typer.Option(
            "--judge-again",
            help="Take back what the judge said of undelivered batches: for quarantines that were "
            "not the images' fault.",
        ),
    ] = False,
) -> None:
    """Let a blocked pipeline run again, after its cause was put right."""
    with session(pipeline) as ctx:
        was_blocked = unblock_pipeline(ctx, who=person(), judge_again=judge_again)
    out.print(f"{pipeline}: {'unblocked' if was_blocked else 'was not blocked'}", highlight=False)


def sweep(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be deleted.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Delete parts on the FTP server that dead attempts of this pipeline left."""
    with session(pipeline) as ctx:
        swept = sweep_parts(ctx, dry_run=dry_run)
    if as_json:
        show_json(swept)
        return
    for path, reason in swept.left:
        out.print(f"left: {path}: {reason}", highlight=False, markup=False)
    out.print(
        f"{pipeline}: {'would delete' if dry_run else 'deleted'} {len(swept.deleted):,} parts in "
        f"{swept.folders:,} folders; left {len(swept.left):,}",
        highlight=False,
    )


def _spark_advice(settings: PipelineSettings, asked: set[str]) -> list[str]:
    """Ask each server that runs once; one that does not is no fault of the file."""
    if settings.spark.connection in asked:
        return []
    asked.add(settings.spark.connection)
    try:
        with open_context(settings, resolve_from_environment) as ctx:
            return spark_advice(ctx)
    except FrameferryError as error:
        return [f"its settings were not looked at: {error}"]


def _problems(settings: PipelineSettings) -> list[FrameferryError]:
    try:
        with open_context(settings, resolve_from_environment) as ctx:
            return [
                explained(problem, settings).at(pipeline=settings.pipeline)
                for problem in check_pipeline(ctx)
            ]
    except FrameferryError as error:
        return [error.at(pipeline=settings.pipeline)]
