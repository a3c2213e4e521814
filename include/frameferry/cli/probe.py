"""The command that tries an FTP server before going live."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.markup import escape

from frameferry.cli.session import resolve_and_revive
from frameferry.cli.terminal import err, out, show_json, show_table
from frameferry.config.connections import ftp_connection
from frameferry.config.folder import load_all
from frameferry.config.home import pipelines_folder
from frameferry.errors import ConfigError
from frameferry.operations.probe import USUAL_NAMES, Finding, Probe, probe_anew

_COLUMNS = {"check": "check", "verdict": "verdict", "seen": "what was seen", "setting": "to do"}
MOST_CONNECTIONS = 32
MOST_NAMES = 110_000


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(probe)


def probe(
    connection: Annotated[str, typer.Argument(help="The connection's id, as pipelines name it.")],
    *,
    folder: Annotated[
        str | None,
        typer.Option(help="Try it below this folder; else below a pipeline's base, or the root."),
    ] = None,
    connections: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_CONNECTIONS,
            help="Open up to so many connections at once, to meet the server's limit. Others may "
            "be turned away meanwhile.",
        ),
    ] = 0,
    names: Annotated[
        int,
        typer.Option(
            min=0,
            max=MOST_NAMES,
            help="Fill a folder of our own with so many names, to see where the server's lists "
            "end; 0 leaves that out.",
        ),
    ] = USUAL_NAMES,
    again: Annotated[
        bool, typer.Option("--again", help="Try a password that was refused before once more.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Try an FTP server before going live; clean up after itself."""
    server = ftp_connection(resolve_and_revive(connection))
    with _ended_in_order():
        found = probe_anew(
            server,
            forget_refusal=again,
            base=_base(folder, connection),
            connections=connections,
            names=names,
            on_finding=_tell,
        )
    _show(found, as_json=as_json)
    if not found.is_passed or found.left:
        raise typer.Exit(1)


def _base(folder: str | None, connection: str) -> str:
    """Choose where to try: as told, else where a pipeline of this connection delivers."""
    if folder is None:
        whole, _ = load_all(pipelines_folder()) if pipelines_folder().is_dir() else ({}, {})
        mine = [one.deliver for one in whole.values() if one.deliver.connection == connection]
        return mine[0].base if mine else "/"
    parts = [part for part in folder.split("/") if part]
    if not folder.startswith("/") or {".", ".."} & set(parts) or not folder.isprintable():
        msg = f"--folder {folder!r} is not an absolute folder"
        raise ConfigError(msg, remedy="Write it as /press-a, without '.' and '..'")
    return "/" + "/".join(parts)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let SIGTERM end the command as Ctrl-C does, so that it cleans up after itself."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    former = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _tell(finding: Finding) -> None:
    err.print(f"{finding.check}: {finding.verdict}", style="dim", highlight=False)


def _show(found: Probe, *, as_json: bool) -> None:
    if as_json:
        show_json({**_plain(found), "passed": found.is_passed, "settings": found.settings})
        return
    show_table(f"{found.server}, tried in {found.folder}", found.findings, _COLUMNS)
    for setting in found.settings:
        out.print(f"  to do: {escape(setting)}", highlight=False)
    for path in found.left:
        out.print(f"  [red]could not be deleted again[/]: {escape(path)}", highlight=False)
    word = "[green]fit for delivery[/]" if found.is_passed else "[red]not fit for delivery[/]"
    out.print(f"{found.server}: {word}", highlight=False)


def _plain(found: Probe) -> dict[str, object]:
    return {
        "server": found.server,
        "folder": found.folder,
        "findings": found.findings,
        "left": found.left,
    }
