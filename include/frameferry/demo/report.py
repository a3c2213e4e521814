"""Show the demo's end to a person: one table, where the seconds went, and how to look around."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from frameferry.demo.account import Account

_HEADINGS = (
    "pipeline",
    "in",
    "delivered",
    "quarantined",
    "labels",
    "batches",
    "committed\nof end",
    "seconds",
)


def show_accounts(
    console: Console, accounts: Sequence[Account], seconds: Mapping[str, float]
) -> None:
    """Print the table of all pipelines, the problems, and the times since the command."""
    table = Table(
        title=_title(accounts),
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for heading in _HEADINGS:
        table.add_column(heading, overflow="fold")
    for one in accounts:
        table.add_row(
            one.pipeline,
            str(one.pictures),
            str(one.counts.delivered),
            _quarantined(one),
            _listed(one.counts.labels),
            str(one.counts.batches),
            f"{one.committed}/{one.ends}",
            f"{seconds[one.pipeline]:.0f}" if one.pipeline in seconds else "-",
        )
    console.print(table)
    for one in accounts:
        for problem in one.problems:
            console.print(f"[red]{one.pipeline}: {problem}[/]", highlight=False)
        for line in one.late:
            console.print(f"[yellow]{one.pipeline}: {line}[/]", highlight=False)


def show_seconds(console: Console, seconds: Mapping[str, float]) -> None:
    """Print when each stage was reached, in seconds since the command."""
    table = Table(
        show_header=False,
        box=box.SIMPLE,
        pad_edge=False,
    )
    console.print("Where the seconds went, since the command")
    table.add_column("what")
    table.add_column("seconds", justify="right")
    for what, moment in sorted(seconds.items(), key=lambda item: item[1]):
        table.add_row(what, f"{moment:.1f}")
    console.print(table)


def show_doors(console: Console, state: Mapping[str, Any]) -> None:
    """Print how to look around: Airflow's page and its log-in, the FTP server, how to stop."""
    airflow, ftp = state["airflow"], state["ftp"]
    console.print(
        f"Airflow  {airflow['url']}  user {airflow['user']}  password {airflow['password']}",
        highlight=False,
        soft_wrap=True,
    )
    console.print(
        f"FTP      ftp://{ftp['host']}:{ftp['port']}  files in {ftp['root']}",
        highlight=False,
        soft_wrap=True,
    )


def all_well(accounts: Sequence[Account]) -> bool:
    """Say whether every picture of every pipeline is accounted for."""
    return bool(accounts) and not any(one.problems or one.late for one in accounts)


def _title(accounts: Sequence[Account]) -> str:
    if all_well(accounts):
        return "Every picture accounted for"
    if accounts and not any(one.problems for one in accounts):
        return "Not every picture has arrived yet"
    return "NOT every picture is accounted for"


def _quarantined(one: Account) -> str:
    return "\n".join([str(one.counts.quarantined), *_listed(one.counts.reasons).splitlines()])


def _listed(counts: Mapping[str, int]) -> str:
    return "\n".join(f"{number} {word}" for word, number in sorted(counts.items()))
