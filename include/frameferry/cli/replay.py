"""The commands about replays: ask for one, list, show, stop and resume them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import ListsByDefault, out, show_json, show_table
from frameferry.config.person import person
from frameferry.domain.wording import counted
from frameferry.operations.replay import carry, plan_replay, resume_replay
from frameferry.operations.selecting import selected

replays_app = typer.Typer(
    cls=ListsByDefault,
    no_args_is_help=True,
    help="Replays: list (`replays PIPELINE`), show, stop and resume them.",
)
ReplayId = Annotated[int, typer.Argument(metavar="ID", help="As `frameferry replays` lists it.")]
Pipeline = Annotated[str, typer.Argument(help="The pipeline's name.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_CHANGES = {
    "before": "before",
    "after": "after",
    "records": "records",
    "model_before": "model before",
    "model_after": "model after",
}
_REPLAYS = {
    "replay": "replay",
    "state": "state",
    "mode": "mode",
    "what": "what",
    "who": "who",
    "asked_at": "asked at",
    "batches": "batches",
    "open": "open",
}


class Mode(StrEnum):
    """What a replay does with the predictions."""

    redeliver = "redeliver"
    reinfer = "reinfer"


def replay(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    partition: Annotated[int | None, typer.Option(help="The partition of one range.")] = None,
    from_offset: Annotated[
        int | None, typer.Option("--from", help="Its first offset, inclusive.")
    ] = None,
    to_offset: Annotated[int | None, typer.Option("--to", help="Its end, exclusive.")] = None,
    ranges: Annotated[
        list[str] | None,
        typer.Option("--range", help="A range as PARTITION:FROM-TO; may be given several times."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(help="Records from this moment by their own timestamps, in ISO 8601."),
    ] = None,
    until: Annotated[str | None, typer.Option(help="The window's end, exclusive.")] = None,
    batch: Annotated[int | None, typer.Option(help="A batch, by its number.")] = None,
    last_failed: Annotated[
        bool, typer.Option("--last-failed", help="The newest batch that failed.")
    ] = False,
    record: Annotated[str | None, typer.Option(help="One record as PARTITION:OFFSET.")] = None,
    quarantined: Annotated[
        str | None, typer.Option(help="All that are in quarantine for this reason.")
    ] = None,
    resume_from: Annotated[
        list[str] | None,
        typer.Option(
            help="All that is committed from this PARTITION:OFFSET on, up to where the live flow "
            "is; may be given once a partition."
        ),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="All with this label; ranges or a window may bound where to look."),
    ] = None,
    below: Annotated[
        float | None, typer.Option(help="All whose score is below; bounded likewise.")
    ] = None,
    piece_records: Annotated[
        int | None, typer.Option(help="Records in a batch, at most; up to batch.max_records.")
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="BASE",
            help="Another base folder on the server, for copies: what stands goes on standing.",
        ),
    ] = None,
    mode: Annotated[
        Mode, typer.Option(help="Keep the predictions, or judge again.")
    ] = Mode.redeliver,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the steps again over what is committed already: ranges, a window, a batch, a label."""
    selection = selected(
        partition=partition,
        start=from_offset,
        end=to_offset,
        ranges=ranges or (),
        since=since,
        until=until,
        batch=batch,
        last_failed=last_failed,
        record=record,
        quarantined=quarantined,
        resume_from=resume_from or (),
        label=label,
        below=below,
    )
    with session(pipeline) as ctx:
        plan = plan_replay(
            *(ctx, selection),
            mode=mode.value,
            dry_run=dry_run,
            who=person(),
            piece_records=piece_records,
            into=into,
        )
        carry(ctx, plan.batch_ids)
    if as_json:
        show_json(plan.as_json())
    else:
        done = "dry run: " if dry_run else "done: "
        out.print(f"{pipeline}: {done}{plan.sentence}", highlight=False, markup=False)


@replays_app.command("list")
def list_replays(pipeline: Pipeline, *, as_json: AsJson = False) -> None:
    """List the newest replays: who asked for what, and how far that is."""
    with session(pipeline) as ctx:
        found = ctx.ledger.replays(pipeline)
    if as_json:
        show_json([one.as_json() for one in found])
    else:
        rows = [one.as_json() | {"what": one.what} for one in found]
        show_table(f"{pipeline}: replays", rows, _REPLAYS)


@replays_app.command()
def show(pipeline: Pipeline, replay_id: ReplayId, *, as_json: AsJson = False) -> None:
    """Show what one changed: how many had which verdict before, and have which by it."""
    with session(pipeline) as ctx:
        found = ctx.ledger.find_replay(pipeline, replay_id)
        changes = ctx.ledger.replay_changes(pipeline, replay_id)
    if as_json:
        show_json({**found.as_json(), "changes": changes})
        return
    changed = sum(one.records for one in changes if one.is_change)
    compared = sum(one.records for one in changes)
    title = f"{pipeline}: {found}, {found.state}: {changed:,} of {compared:,} have another verdict"
    show_table(title, changes, _CHANGES)


@replays_app.command()
def stop(pipeline: Pipeline, replay_id: ReplayId) -> None:
    """Stop one: what a step has in hand is finished, and nothing further is begun."""
    with session(pipeline) as ctx:
        found = ctx.ledger.stop_replay(pipeline, replay_id, who=person())
    left = counted(len(found.open_batches), "batch", "batches")
    line = f"{pipeline}: {found} is stopped; {left} left"
    out.print(line, highlight=False, markup=False)


@replays_app.command()
def resume(pipeline: Pipeline, replay_id: ReplayId) -> None:
    """Let a stopped one go on, and carry it."""
    with session(pipeline) as ctx:
        plan = resume_replay(ctx, replay_id, who=person())
        carry(ctx, plan.batch_ids)
    out.print(f"{pipeline}: done: {plan.sentence}", highlight=False, markup=False)
