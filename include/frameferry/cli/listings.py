"""The commands that show: status, records. Each also as `--json`."""

from __future__ import annotations

from typing import Annotated

import typer

from frameferry.cli.session import pipeline_names, session
from frameferry.cli.terminal import out, show_json, show_table
from frameferry.config.connections import resolve_from_environment
from frameferry.domain.status import Backlog, Status, to_json
from frameferry.domain.wording import in_time
from frameferry.errors import ConfigError
from frameferry.operations.status import status as pipeline_status

Pipeline = Annotated[str, typer.Argument(help="The pipeline's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_PARTITIONS = {
    "partition": "partition",
    "low": "low",
    "end": "end",
    "planned": "planned",
    "committed": "committed",
    "lag": "lag",
}
_RECORDS = {
    "partition": "partition",
    "offset": "offset",
    "name": "name",
    "size_bytes": "bytes",
    "label": "label",
    "score": "score",
    "remote_path": "remote path",
    "batch": "batch",
    "delivered_at": "delivered at",
}
_OPEN = {"batch": "batch", "kind": "kind", "state": "state", "ranges": "ranges", "sentence": "why"}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(status)
    app.command()(records)


def status(
    pipeline: Annotated[str | None, typer.Argument(help="One pipeline; all if left out.")] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Show how far each partition is, what is open, and what is to be done."""
    found = [_status_of(name) for name in pipeline_names(pipeline)]
    if as_json:
        told = [to_json(one) for one in found]
        show_json(told if pipeline is None else told[0])
        return
    for one in found:
        _show_status(one)


def records(
    pipeline: Pipeline,
    *,
    offset: Annotated[str | None, typer.Option(help="PARTITION:OFFSET, as in 0:4711.")] = None,
    name: Annotated[
        str | None, typer.Option(help="A pattern of the file's name, as in '*.jpg'.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Only this label.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many rows.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """List delivered and due images with their predictions and places."""
    partition, at = _partition_offset(offset)
    with session(pipeline) as ctx:
        rows = ctx.ledger.records(
            pipeline, partition=partition, offset=at, name_glob=name, label=label, limit=limit
        )
    if as_json:
        show_json(rows)
    else:
        show_table(f"{pipeline}: records", rows, _RECORDS)


def _status_of(name: str) -> Status:
    with session(name, resolve=resolve_from_environment) as ctx:
        return pipeline_status(ctx)


def _show_status(one: Status) -> None:
    health = "[green]healthy[/]" if one.healthy else "[red]needs attention[/]"
    out.print(f"[bold]{one.pipeline}[/]: {health}", highlight=False)
    for line in one.advice:
        out.print(f"  {line}", highlight=False, markup=False)
    show_table("", one.partitions, _PARTITIONS)
    if one.open_batches:
        show_table("open batches", one.open_batches, _OPEN)
    if last := one.last_batch:
        _show_line(f"last batch {last.batch}: {last.sentence}")
    _show_line(_backlog(one.backlog))
    counts = one.counts
    each = {"resolved": counts.resolved, "kept": counts.kept}
    known = ", ".join(f"{number:,} {what}" for what, number in each.items() if number)
    out.print(
        f"  {counts.records:,} records, {counts.delivered:,} delivered, "
        f"{counts.quarantined:,} quarantined{known and f' ({known})'}, {counts.gaps:,} in gaps, "
        f"{counts.batches:,} batches\n",
        highlight=False,
    )


def _show_line(text: str) -> None:
    if text:
        out.print(f"  {text}", highlight=False, markup=False)


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


def _partition_offset(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        msg = f"--offset {text!r} is not PARTITION:OFFSET"
        raise ConfigError(msg, remedy="Write it as 0:4711")
    return int(partition), int(offset)
