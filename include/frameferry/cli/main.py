"""Enter here: assemble the commands, and turn errors into one line and an exit code."""

from __future__ import annotations

import logging
import sys
from typing import Annotated

import structlog
import typer

import frameferry
from frameferry.cli import (
    acceptance,
    adopt,
    airflow,
    audit,
    demo,
    doctor,
    ledger,
    listings,
    operations,
    probe,
    quarantine,
    replay,
    stack,
    trying,
    watching,
)
from frameferry.cli.session import use_stack_connections
from frameferry.cli.terminal import show_error
from frameferry.config.memory import bound_arenas
from frameferry.errors import FrameferryError

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(stack.app, name="stack")
app.add_typer(airflow.app, name="airflow")
app.add_typer(acceptance.gaps_app, name="gaps")
app.add_typer(acceptance.topic_app, name="topic")
app.add_typer(ledger.app, name="ledger")
app.add_typer(quarantine.app, name="quarantine")
app.add_typer(replay.replays_app, name="replays")
app.command()(replay.replay)
operations.register(app)
watching.register(app)
listings.register(app)
probe.register(app)
doctor.register(app)
adopt.register(app)
audit.register(app)
trying.register(app)
demo.register(app)


def _show_version(asked: bool) -> None:  # noqa: FBT001 - as typer calls it
    if asked:
        sys.stdout.write(f"frameferry {frameferry.__version__}\n")
        raise typer.Exit


@app.callback()
def options(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print it, and end."),
    ] = False,
) -> None:
    """Carry images from Kafka to FTP, judged by TensorFlow on Spark, each exactly once."""


def main() -> None:
    """Run the command line; exit 1 with one line for anything a person can put right."""
    bound_arenas()
    _configure_logging()
    try:
        use_stack_connections()
        app()
    except FrameferryError as error:
        show_error(error)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _configure_logging() -> None:
    """Log events to stderr: stdout belongs to the listings."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
