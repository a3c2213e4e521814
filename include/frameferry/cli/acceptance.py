"""The commands by which a person accepts what no program may: lost offsets, another topic."""

from __future__ import annotations

from typing import Annotated

import typer

from frameferry.cli.session import pipeline_names, session
from frameferry.cli.terminal import out, show_json, show_table
from frameferry.config.person import person
from frameferry.operations.gaps import accept_gap, list_gaps
from frameferry.operations.topic import accept_topic

gaps_app = typer.Typer(help="Offsets that Kafka lost: list them, and accept one.")
topic_app = typer.Typer(no_args_is_help=True, help="Topics whose offsets mean other images by now.")
Reason = Annotated[str, typer.Option(help="Why that is all right; kept with your name.")]
_GAPS = {
    "id": "id",
    "pipeline": "pipeline",
    "partition": "partition",
    "start": "from",
    "end": "to",
    "cause": "cause",
    "found_at": "found at",
    "accepted_by": "accepted by",
}


@gaps_app.callback(invoke_without_command=True)
def gaps(
    context: typer.Context,
    pipeline: Annotated[str | None, typer.Option(help="Only this pipeline's.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the offsets that Kafka lost before their images were delivered."""
    if context.invoked_subcommand is not None:
        return
    found = list_gaps(pipeline_names(pipeline))
    if as_json:
        show_json(found)
    else:
        show_table("Gaps", found, _GAPS)


@gaps_app.command()
def accept(
    gap_id: Annotated[int, typer.Argument(metavar="ID", help="As `frameferry gaps` lists it.")],
    reason: Reason,
) -> None:
    """Sign a gap off, so that the committed offset passes it."""
    accept_gap(gap_id, who=person(), reason=reason)
    out.print(f"gap {gap_id} is accepted by {person()}", highlight=False)


@topic_app.command("accept")
def accept_another_topic(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    reason: Reason,
) -> None:
    """Go on with a topic that was created anew, or whose log was truncated."""
    with session(pipeline) as ctx:
        starts = accept_topic(ctx, who=person(), reason=reason)
    places = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(starts.items()))
    out.print(f"{pipeline}: the next generation begins at {places}", highlight=False)
