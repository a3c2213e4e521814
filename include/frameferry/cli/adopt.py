"""`frameferry adopt`: begin a pipeline exactly where another system stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import out, show_json, show_table
from frameferry.config.person import person
from frameferry.operations.adopting.adopt import Adoption, Decision
from frameferry.operations.adopting.adopt import adopt as adopt_pipeline
from frameferry.operations.adopting.sources import source_of

SparkCheckpoint = Annotated[
    str | None,
    typer.Option(metavar="DIR", help="The checkpointLocation of a Structured Streaming query."),
]
Group = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="A consumer group; Kafka Connect's sinks: connect-NAME."),
]
ConnectOffsets = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Kafka Connect's answer: GET /connectors/NAME/offsets."),
]
Offsets = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help='The next offsets as {"TOPIC": {"0": 123}}.'),
]
CarryPlanned = Annotated[
    bool,
    typer.Option(
        "--carry-planned",
        help="Begin with the exact range that the Spark checkpoint planned and did not commit, "
        "cut into bounded batches.",
    ),
]
AcceptLoss = Annotated[
    str | None,
    typer.Option(
        metavar="REASON",
        help="Why what Kafka lost, or may have lost, is all right; kept with your name.",
    ),
]
Again = Annotated[
    bool, typer.Option("--again", help="Replace an adoption of which nothing was planned yet.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only look; 1 if it would be refused.")]
_BEGINNINGS = {
    "partition": "partition",
    "start": "begins at",
    "since_low": "above low",
    "to_end": "to the end",
    "carried_to": "planned to",
    "low": "low",
    "end": "end",
}


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(adopt)


def adopt(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    spark_checkpoint: SparkCheckpoint = None,
    group: Group = None,
    connect_offsets: ConnectOffsets = None,
    offsets: Offsets = None,
    carry_planned: CarryPlanned = False,
    accept_loss: AcceptLoss = None,
    again: Again = False,
    dry_run: DryRun = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Begin a pipeline exactly where another system stopped; it must have begun nothing itself."""
    find = source_of(
        spark_checkpoint=spark_checkpoint,
        group=group,
        connect_offsets=connect_offsets,
        offsets=offsets,
    )
    decision = Decision(carries=carry_planned, accepts_loss=accept_loss, again=again)
    with session(pipeline) as ctx:
        adopted = adopt_pipeline(ctx, find, decision, dry_run=dry_run, who=person())
    if as_json:
        show_json(adopted)
    else:
        _show(adopted)
    if dry_run and (adopted.objections or (adopted.losses and accept_loss is None)):
        raise typer.Exit(1)


def _show(adopted: Adoption) -> None:
    done = "dry run: would begin" if adopted.dry_run else "begins"
    title = f"{adopted.pipeline}: {done} where another system stopped"
    show_table(title, adopted.partitions, _BEGINNINGS)
    _say(f"read from: {adopted.source}")
    if adopted.batches:
        _say(f"{adopted.batches} bounded batches carry what was planned and not committed")
    for line in adopted.notes:
        _say(line)
    for line in adopted.losses:
        _say(f"LOSS: {line}")
    for line in adopted.objections:
        _say(f"REFUSED: {line}")
    if not adopted.dry_run:
        _say(f"next: {adopted.next}")


def _say(line: str) -> None:
    out.print(f"  {line}", highlight=False, markup=False)
