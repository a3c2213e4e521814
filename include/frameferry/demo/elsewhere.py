"""
The demo's pictures on servers that somebody else has started, as those of docker-compose.yaml.

`python -m frameferry.demo.elsewhere send` makes the topics and sends; `account` waits for the
pictures and accounts for every one, byte by byte. Connections come from the environment.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from frameferry.config.connections import kafka_connection, resolve_from_environment
from frameferry.config.folder import find_pipeline
from frameferry.config.home import pipelines_folder
from frameferry.demo.account import Account, account, answered, is_carried
from frameferry.demo.pictures import DemoPicture, demo_pictures
from frameferry.demo.producer import create_topics, produce_missing
from frameferry.demo.report import all_well, show_accounts
from frameferry.demo.run import PIPELINES, facts
from frameferry.errors import FrameferryError
from frameferry.pipeline.context import Context, open_context

_POLL_SECONDS = 2.0
FILES = "FRAMEFERRY_DEMO_FILES"
"""The variable that names the folder of the FTP server's files, as this process sees it."""

app = typer.Typer(add_completion=False)


@app.command()
def send(rounds: Annotated[int, typer.Option(min=1, help="Up to this round.")] = 1) -> None:
    """Make the topics, and send the pictures that they do not hold yet."""
    pictures = _pictures(rounds)
    settings = find_pipeline(pipelines_folder(), PIPELINES[0])
    kafka = kafka_connection(resolve_from_environment(settings.kafka.connection)).options
    create_topics(kafka, PIPELINES)
    sent = produce_missing(kafka, pictures)
    Console().print(f"{sent} pictures sent, {len(pictures)} in all")


@app.command("account")
def account_for(
    rounds: Annotated[int, typer.Option(min=1, help="Up to this round.")] = 1,
    patience: Annotated[
        float, typer.Option(help="Seconds in which the ledger may stand still.")
    ] = 600.0,
    files: Annotated[
        Path | None, typer.Option(help=f"The FTP server's files; by default {FILES}.")
    ] = None,
) -> None:
    """Wait until the pictures are carried, then compare Kafka, the ledger and the files."""
    root, pictures = files or Path(os.environ[FILES]), _pictures(rounds)
    began = datetime.now(UTC)
    with ExitStack() as opened:
        contexts = [opened.enter_context(_context(name)) for name in PIPELINES]
        for ctx in contexts:
            _follow(ctx, len(_of(ctx, pictures)), patience)
        accounts: list[Account] = [
            account(ctx, _of(ctx, pictures), root, began=began) for ctx in contexts
        ]
    show_accounts(Console(), accounts, {})
    raise typer.Exit(0 if all_well(accounts) else 1)


def _follow(ctx: Context, pictures: int, patience_seconds: float) -> None:
    """Wait for the pipeline's pictures, or until nothing has moved for too long."""
    seen, moved_at = facts(ctx), time.monotonic()
    while not _is_carried(ctx, pictures) and time.monotonic() - moved_at < patience_seconds:
        time.sleep(_POLL_SECONDS)
        if seen != (seen := facts(ctx)):
            moved_at = time.monotonic()
            done = answered(ctx.ledger.counts(ctx.pipeline))
            Console().print(f"{ctx.pipeline}: {done} of {pictures}", highlight=False)


def _is_carried(ctx: Context, pictures: int) -> bool:
    try:
        return is_carried(ctx, pictures)
    except FrameferryError:
        return False


def _context(pipeline: str) -> AbstractContextManager[Context]:
    return open_context(find_pipeline(pipelines_folder(), pipeline), resolve_from_environment)


def _of(ctx: Context, pictures: Sequence[DemoPicture]) -> list[DemoPicture]:
    return [picture for picture in pictures if picture.pipeline == ctx.pipeline]


def _pictures(rounds: int) -> list[DemoPicture]:
    return [picture for number in range(1, rounds + 1) for picture in demo_pictures(number)]


def main() -> None:
    """Run a command; say in one line what one of our own errors says."""
    try:
        app()
    except FrameferryError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
