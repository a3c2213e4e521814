"""The commands that watch: status, alarms, metrics; of one pipeline or of all."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from frameferry.cli.terminal import err, out, show_error, show_json, show_table
from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.domain.alarms import Alarm, Severity, worst_first
from frameferry.domain.status import (
    Answer,
    Backlog,
    Status,
    Unasked,
    alarm_to_json,
    to_json,
)
from frameferry.domain.wording import counted, in_time
from frameferry.errors import FrameferryError
from frameferry.operations.monitor.exposition import expose, exposed
from frameferry.operations.monitor.gauges import samples
from frameferry.operations.monitor.survey import survey, survey_all

Pipeline = Annotated[str | None, typer.Argument(help="One pipeline; all if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PARTITIONS = {
    "partition": "partition",
    "low": "low",
    "end": "end",
    "planned": "planned",
    "committed": "committed",
    "lag": "lag",
}
_OPEN = {"batch": "batch", "kind": "kind", "state": "state", "ranges": "ranges", "sentence": "why"}


class Verdict(IntEnum):
    """How `frameferry alarms` ends, as Nagios and its like read an exit code."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(status)
    app.command()(alarms)
    app.command()(metrics)


def status(pipeline: Pipeline = None, *, as_json: AsJson = False) -> None:
    """
    Say whether each pipeline is healthy and what to do, how far it is, and what is open.

    The exit status is 1 where one could not be asked.
    """
    found = _asked(pipeline)
    if as_json:
        told = [to_json(one) for one in found]
        show_json(told if pipeline is None else told[0])
    for one in found:
        if isinstance(one, Unasked):
            _show_unasked(one, as_json=as_json)
        elif not as_json:
            _show_status(one)
    if any(isinstance(one, Unasked) for one in found):
        raise typer.Exit(1)


def alarms(pipeline: Pipeline = None, *, as_json: AsJson = False) -> None:
    """
    List the alarms that stand, the worst first; the exit status is for cron and Nagios.

    It is 0 where there is none, 1 where the worst is a warning, 2 where it is critical, and 3 where
    there is nothing to be asked.
    """
    try:
        found = _asked(pipeline)
    except FrameferryError as error:
        show_error(error)
        raise typer.Exit(Verdict.UNKNOWN) from None
    standing = [(one.pipeline, alarm) for one in found for alarm in worst_first(one.alarms)]
    standing.sort(key=lambda named: named[1].severity is not Severity.CRITICAL)
    verdict = _verdict(found, standing)
    if as_json:
        show_json([{"pipeline": name, **alarm_to_json(alarm)} for name, alarm in standing])
    else:
        _show_alarms(verdict, found, standing)
    raise typer.Exit(verdict)


def metrics(
    pipeline: Pipeline = None,
    *,
    output: Annotated[
        Path | None,
        typer.Option(help="A file to replace, as node_exporter's textfile collector reads it."),
    ] = None,
) -> None:
    """Print gauges of each pipeline in Prometheus' text format."""
    measured = samples(_asked(pipeline), datetime.now(UTC))
    if output is None:
        sys.stdout.write(exposed(measured))
    else:
        expose(measured, output)


def _asked(pipeline: str | None) -> tuple[Answer, ...]:
    if pipeline is None:
        return survey_all(resolve_from_environment)
    return survey([find_pipeline(pipelines_folder(), pipeline)], resolve_from_environment)


def _verdict(found: tuple[Answer, ...], standing: list[tuple[str, Alarm]]) -> Verdict:
    if not found:
        return Verdict.UNKNOWN
    if not standing:
        return Verdict.OK
    is_critical = standing[0][1].severity is Severity.CRITICAL
    return Verdict.CRITICAL if is_critical else Verdict.WARNING


def _show_alarms(
    verdict: Verdict, found: tuple[Answer, ...], standing: list[tuple[str, Alarm]]
) -> None:
    """Say all in the first line, which is what Nagios shows; then each alarm in one line."""
    ill = sum(not one.healthy for one in found)
    _line(
        f"FRAMEFERRY {verdict.name}: {counted(len(standing), 'alarm')}, "
        f"{ill} of {counted(len(found), 'pipeline')} {'needs' if ill == 1 else 'need'} attention"
    )
    for name, alarm in standing:
        _line(f"{name}: {alarm.severity}: {alarm.kind}: {alarm.sentence}")


def _show_unasked(one: Unasked, *, as_json: bool) -> None:
    if not as_json:
        out.print(f"[bold]{escape(one.pipeline)}[/]: [red]cannot be asked[/]", highlight=False)
    err.print(f"[bold red]error[/]: {escape(one.error)}", highlight=False)


def _show_status(one: Status) -> None:
    alarms = worst_first(one.alarms)
    health = "[red]needs attention[/]" if alarms else "[green]healthy[/]"
    first = f": {escape(alarms[0].sentence)}" if alarms else ""
    out.print(f"[bold]{one.pipeline}[/]: {health}{first}", highlight=False, soft_wrap=True)
    for alarm in alarms[1:]:
        _line(f"  {alarm.sentence}")
    show_table("", one.partitions, _PARTITIONS)
    if one.open_batches:
        show_table("open batches", one.open_batches, _OPEN)
    if last := one.last_batch:
        _line(f"  last batch {last.batch}: {last.sentence}")
    if backlog := _backlog(one.backlog):
        _line(f"  {backlog}")
    counts = one.counts
    each = {"resolved": counts.resolved, "kept": counts.kept}
    known = ", ".join(f"{number:,} {what}" for what, number in each.items() if number)
    out.print(
        f"  {counts.records:,} records, {counts.delivered:,} delivered, "
        f"{counts.quarantined:,} quarantined{known and f' ({known})'}, {counts.gaps:,} in gaps, "
        f"{counts.batches:,} batches\n",
        highlight=False,
    )


def _line(text: str) -> None:
    """Print one line, however long: programs read it, and terminals wrap by themselves."""
    out.print(text, highlight=False, markup=False, soft_wrap=True)


def _backlog(backlog: Backlog) -> str:
    """Say how old the backlog is, and how fast it grows and shrinks; what is not known is left."""
    age, left = backlog.oldest_minutes, backlog.retention_hours_left
    arrivals, service = backlog.arrivals_per_second, backlog.service_per_second
    said = (
        f"oldest unprocessed picture {in_time(age * 60)} old" if age is not None else "",
        f"kept for {in_time(left * 3600)} more" if left is not None and left > 0 else "",
        f"{arrivals * 60:,.1f} a minute arrive" if arrivals is not None else "",
        f"{service * 60:,.1f} a minute can be carried" if service is not None else "",
    )
    return ", ".join(text for text in said if text)
