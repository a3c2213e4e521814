"""The command that lists records. Also as `--json`."""

from __future__ import annotations

from typing import Annotated

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import columns_said, show_json, show_table
from frameferry.errors import ConfigError

Pipeline = Annotated[str, typer.Argument(help="The pipeline's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_RECORDS = {
    "partition": "partition",
    "offset": "offset",
    "name": "name",
    "size_bytes": "bytes",
    "label": "label",
    "score": "score",
    "value": "value",
    "unit": "unit",
    "remote_path": "remote path",
    "batch": "batch",
    "delivered_at": "delivered at",
}


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(records)


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
        columns = columns_said(rows, _RECORDS, ("value", "unit"))
        show_table(f"{pipeline}: records", rows, columns)


def _partition_offset(text: str | None) -> tuple[int | None, int | None]:
    if text is None:
        return None, None
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        msg = f"--offset {text!r} is not PARTITION:OFFSET"
        raise ConfigError(msg, remedy="Write it as 0:4711")
    return int(partition), int(offset)
