"""The command that compares Kafka, ledger and FTP server after the fact."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Final

import typer

from frameferry.cli.session import session
from frameferry.cli.terminal import out, show_json
from frameferry.config.person import person
from frameferry.domain.audit import Report, to_json
from frameferry.operations.audit.auditing import Audited
from frameferry.operations.audit.auditing import audit as audit_pipeline
from frameferry.operations.audit.page import refuse_unwritable, write_page
from frameferry.operations.audit.repairing import repair as plan_repairs
from frameferry.operations.audit.telling import lines
from frameferry.operations.audit.wishing import wished
from frameferry.operations.replay import carry
from frameferry.pipeline.context import Context

NOT_WELL: Final = 3
"""The exit status if something is wrong. Errors end with 1, as everywhere."""


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(audit)


def audit(
    pipeline: Annotated[str, typer.Argument(help="The pipeline's name.")],
    *,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only files of records from this moment by their own timestamps, in ISO 8601."
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(help="Their end, exclusive.")] = None,
    sample: Annotated[
        int, typer.Option(help="So many files, drawn by chance, are read back for their sha256.")
    ] = 10,
    without_kafka: Annotated[
        bool, typer.Option("--without-kafka", help="Compare ledger and FTP server only.")
    ] = False,
    recount: Annotated[
        bool,
        typer.Option("--recount", help="Read and count all that Kafka still holds; takes long."),
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Send again what is missing or wrong.")
    ] = False,
    reinfer_quarantined: Annotated[
        bool,
        typer.Option(
            "--reinfer-quarantined",
            help="With --repair: have all that is in quarantine judged again, too.",
        ),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --repair: only say what would be sent.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write the report as a page, too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """
    Compare Kafka, the ledger and the FTP server, and say what is not as it should be.

    The exit status is 0 if all is well, and 3 if something is wrong.
    """
    wish = wished(
        since=since,
        until=until,
        sample=sample,
        with_kafka=not without_kafka,
        recount=recount,
        repair=repair,
        reinfer_quarantined=reinfer_quarantined,
        dry_run=dry_run,
    )
    if html is not None:
        refuse_unwritable(html)
    with session(pipeline) as ctx:
        audited = audit_pipeline(ctx, wish)
        report = audited.report
        try:
            if repair:
                report = _repaired(ctx, audited, reinfer_quarantined, dry_run=dry_run)
        finally:
            # Whatever becomes of the repair, what was found is told.
            _tell(report, html, as_json=as_json)
    if not report.is_well:
        raise typer.Exit(NOT_WELL)


def _repaired(
    ctx: Context,
    audited: Audited,
    reinfer_quarantined: bool,  # noqa: FBT001 - as the option is
    *,
    dry_run: bool,
) -> Report:
    repairs = plan_repairs(
        ctx,
        audited,
        reinfer_quarantined=reinfer_quarantined,
        dry_run=dry_run,
        who=person(),
    )
    carry(ctx, repairs.batch_ids)
    return replace(audited.report, repairs=repairs)


def _tell(report: Report, html: Path | None, *, as_json: bool) -> None:
    if html is not None:
        write_page(report, html)
    if as_json:
        show_json(to_json(report))
        return
    for line in lines(report):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
