"""The commands about pictures that were set aside: list, show, judge again, resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import ListsByDefault, out, show_json, show_table
from frameferry.config.person import person
from frameferry.domain.selection import read_record
from frameferry.domain.wording import counted
from frameferry.operations.quarantine import look, picked, save
from frameferry.operations.quarantine import resolve as resolve_quarantined
from frameferry.operations.quarantine import retry as retry_quarantined
from frameferry.operations.replay import carry

app = typer.Typer(
    cls=ListsByDefault,
    no_args_is_help=True,
    help="Pictures that were set aside: list (`quarantine PIPELINE`), show, retry, resolve them.",
)
Pipeline = Annotated[str, typer.Argument(help="The pipeline's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
OneRecord = Annotated[str | None, typer.Option("--record", help="One, as PARTITION:OFFSET.")]
Reason = Annotated[str | None, typer.Option(help="All that are there for this reason.")]
_OPEN = {
    "partition": "partition",
    "offset": "offset",
    "stage": "stage",
    "reason": "reason",
    "detail": "detail",
    "batch": "batch",
}
_HEAD_BYTES, _LINE_BYTES = 64, 16
_READABLE = range(0x20, 0x7F)
_ALL = {**_OPEN, "resolved_by": "resolved by", "resolved_how": "because"}


@app.command("list")
def list_quarantined(
    pipeline: Pipeline,
    *,
    with_resolved: Annotated[bool, typer.Option("--all", help="Resolved ones, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the records that were set aside, and why; this is meant where no other word is given."""
    with session(pipeline) as ctx:
        rows = ctx.ledger.quarantined(pipeline, with_resolved=with_resolved)
    if as_json:
        show_json(rows)
    else:
        show_table(f"{pipeline}: quarantine", rows, _ALL if with_resolved else _OPEN)


@app.command()
def show(
    pipeline: Pipeline,
    record: Annotated[str, typer.Option(help="Which one, as PARTITION:OFFSET.")],
    *,
    to: Annotated[
        Path | None, typer.Option("--save", help="A folder or a new file for its bytes.")
    ] = None,
) -> None:
    """Look at one: its first bytes; with --save all of them go to a file."""
    one = read_record(record)
    with session(pipeline) as ctx:
        found = look(ctx, one)
        file = None if to is None else save(ctx, one, found, to)
    size = counted(len(found.value), "byte")
    _say(f"{pipeline}: {one}: {size}, from its {found.found_in}, sha256 {found.sha256}")
    for at in range(0, min(len(found.value), _HEAD_BYTES), _LINE_BYTES):
        line = found.value[at : at + _LINE_BYTES]
        readable = "".join(chr(byte) if byte in _READABLE else "." for byte in line)
        _say(f"  {at:08x}  {line.hex(' '):47}  {readable}")
    if file is not None:
        _say(f"saved as {file}")


@app.command()
def retry(
    pipeline: Pipeline,
    *,
    record: OneRecord = None,
    reason: Reason = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
) -> None:
    """Judge one again, or all of a reason: a replay in the mode reinfer."""
    what = picked(record=record, reason=reason)
    with session(pipeline) as ctx:
        plan = retry_quarantined(ctx, what, dry_run=dry_run, who=person())
        carry(ctx, plan.batch_ids)
    _say(f"{pipeline}: {'dry run: ' if dry_run else 'done: '}{plan.sentence}")


@app.command()
def resolve(
    pipeline: Pipeline,
    because: Annotated[
        str, typer.Option(help="Why nothing more is to be done; kept with your name.")
    ],
    *,
    record: OneRecord = None,
    reason: Reason = None,
) -> None:
    """Be done with one, or all of a reason: they stay in the ledger, and are open no more."""
    what = picked(record=record, reason=reason)
    with session(pipeline) as ctx:
        number = resolve_quarantined(ctx, what, because=because, who=person())
    _say(f"{pipeline}: {counted(number, 'picture')} resolved by {person()}")


def _say(line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)
