"""The commands that keep the ledger: upgrade, backup, restore, recover, confirm, prune."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import out, show_json, show_table
from frameferry.config.home import home
from frameferry.config.person import person
from frameferry.errors import ConfigError
from frameferry.operations.confirm import confirm as confirm_ledger
from frameferry.operations.recover import Decision, Recovery
from frameferry.operations.recover import recover as recover_pipeline
from frameferry.operations.upkeep import (
    back_up_ledger,
    look_at_ledger,
    prune_ledger,
    restore_ledger,
    upgrade_ledger,
)

app = typer.Typer(no_args_is_help=True, help="Keep the ledger: upgrade, back up, restore, prune.")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400}
_RECOVERED = {
    "partition": "partition",
    "committed": "ledger",
    "mirrored": "mirror",
    "end": "end",
    "seen": "files seen",
    "expired": "of them expired",
    "taken_to": "taken up to",
}
_FOLDERS_SHOWN = 20
_PRUNED = {"pipeline": "pipeline", "batches": "batches", "records": "records"}


class Form(StrEnum):
    """What pruned records are exported as."""

    parquet = "parquet"


@app.command()
def status(*, as_json: AsJson = False) -> None:
    """Say what the ledger is, without changing it."""
    state = look_at_ledger()
    if as_json:
        show_json(state)
        return
    if state.version is None:
        out.print(f"no ledger yet in this {state.database} database", highlight=False)
        return
    out.print(
        f"{state.database}, schema {state.version} (this program's: {state.newest_version}), "
        f"epoch {state.epoch}; {state.pipelines:,} pipelines, {state.batches:,} batches",
        highlight=False,
    )
    for name in state.to_recover or ():
        out.print(f"  restored: run frameferry ledger recover {name}", highlight=False)


@app.command()
def upgrade() -> None:
    """Bring the ledger's schema to this program's version; opening the ledger does so too."""
    done = upgrade_ledger()
    if done.before == done.after:
        out.print(f"the ledger has schema {done.after} already", highlight=False)
    else:
        before = f"from schema {done.before} " if done.before else ""
        out.print(f"the ledger was brought {before}to schema {done.after}", highlight=False)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The file to write; it must not be there yet.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Write a consistent, verified copy of the ledger, while others go on writing to it."""
    done = back_up_ledger(file.absolute())
    if as_json:
        show_json(done)
        return
    out.print(
        f"{done.file}: {done.size_bytes:,} bytes, schema {done.version}, "
        f"{done.rows['pipeline']:,} pipelines, {done.rows['record']:,} records",
        highlight=False,
    )


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `backup` made.")],
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give up what is in the ledger now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a backup in the ledger's place; every pipeline is recovered before it goes on."""
    done = restore_ledger(file.absolute(), who=person(), replace=replace)
    if as_json:
        show_json(done)
        return
    out.print(f"restored {done.rows['record']:,} records; epoch {done.epoch}", highlight=False)
    for name in done.pipelines:
        out.print(f"  next: frameferry ledger recover {name}", highlight=False)


@app.command()
def recover(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    taken_to: Annotated[
        list[str] | None,
        typer.Option(
            help="PARTITION:OFFSET. With deliver.after: taken, a file that is not there was taken "
            "by its consumer, up to this offset (exclusive). Default: what the mirror says."
        ),
    ] = None,
    send_beyond: Annotated[
        bool,
        typer.Option(
            "--send-beyond",
            help="With deliver.after: taken, send what lies beyond, though some may arrive twice.",
        ),
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read the files back and compare their sha256.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only look.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find out what was delivered that the ledger does not know of, and let the pipeline go on."""
    decision = Decision(dict(map(_position, taken_to or ())), send_beyond=send_beyond)
    with session(pipeline) as ctx:
        found = recover_pipeline(ctx, decision, verify=verify, dry_run=dry_run, who=person())
    if as_json:
        show_json(found)
    else:
        _show_recovery(found)


@app.command()
def confirm(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    reason: Annotated[str, typer.Option(help="How you know; kept with your name.")],
) -> None:
    """Vouch for a ledger whose mirror is gone: no older copy of it was put in place."""
    with session(pipeline) as ctx:
        mirrored = confirm_ledger(ctx, who=person(), reason=reason)
    places = ", ".join(f"{partition}:{offset}" for partition, offset in sorted(mirrored.items()))
    out.print(f"{pipeline}: mirrored anew at {places}", highlight=False)


@app.command()
def prune(
    older_than: Annotated[str, typer.Option(help="Age since the commit, as in 90d, 12h, 2w.")],
    export: Annotated[Form, typer.Option(help="How the records are kept.")],
    *,
    to: Annotated[
        Path | None, typer.Option(help="The folder for the files; default: in the home.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export old records to files, and remove them from the ledger."""
    seconds = _seconds(older_than)
    folder = (to or home() / "exports").absolute()
    pruned = prune_ledger(older_than_seconds=seconds, folder=folder, who=person())
    if as_json:
        show_json(pruned)
        return
    show_table(f"pruned, exported as {export.value} to {folder}", pruned, _PRUNED)


def _show_recovery(found: Recovery) -> None:
    title = f"{found.pipeline}: {'dry run, ' if found.dry_run else ''}{found.sentence}"
    show_table(title, found.partitions, _RECOVERED)
    for folder, flaw in found.unlisted[:_FOLDERS_SHOWN]:
        out.print(f"  not listed whole: {folder}: {flaw}", highlight=False, markup=False)
    if found.unlisted:
        out.print(
            "  what no list shows is looked for by its name before it is sent; parts of the lost "
            "ledger may lie there too: see that none of its processes runs any more",
            highlight=False,
        )
    for path in found.strange:
        out.print(f"  nobody's: {path}", highlight=False, markup=False)
    if any(one.expired for one in found.partitions):
        out.print(
            "  Kafka no longer holds the records of expired files: they become a gap, which you "
            "accept by frameferry gaps",
            highlight=False,
        )
    if not found.dry_run:
        out.print(f"  next: frameferry run {found.pipeline}, or let Airflow run", highlight=False)


def _position(text: str) -> tuple[int, int]:
    partition, colon, offset = text.partition(":")
    if not (colon and partition.isdecimal() and offset.isdecimal()):
        msg = f"--taken-to {text!r} is not PARTITION:OFFSET"
        raise ConfigError(msg, remedy="Write it as 0:4711")
    return int(partition), int(offset)


def _seconds(age: str) -> float:
    found = re.fullmatch(r"(\d{1,6})([hdw])", age)
    if found is None:
        msg = f"--older-than {age!r} is no age"
        raise ConfigError(msg, remedy="Write a number and h, d or w, as in 90d")
    return int(found[1]) * _UNITS[found[2]]
