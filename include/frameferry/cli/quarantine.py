"""The commands about pictures that were set aside: list them, resolve them."""

from __future__ import annotations

from typing import Annotated

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import ListsByDefault, out, show_json, show_table
from frameferry.config.person import person
from frameferry.domain.wording import counted
from frameferry.operations.quarantine import picked
from frameferry.operations.quarantine import resolve as resolve_quarantined

app = typer.Typer(
    cls=ListsByDefault,
    no_args_is_help=True,
    help="Pictures that were set aside: list them (`quarantine PIPELINE`), or resolve them.",
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
    out.print(
        f"{pipeline}: {counted(number, 'picture')} resolved by {person()}",
        highlight=False,
        markup=False,
    )
