"""Tell a report to a person, line by line: a command prints them, a task logs them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from frameferry.domain.audit import Example, Finding, Repairs, Report
from frameferry.domain.wording import counted, shown

_EXAMPLES_TOLD: Final = 5


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of a report; names are escaped where they do not show."""
    yield f"{report.pipeline}: {report.sentence}"
    for finding in report.findings:
        yield from _of_finding(finding)
    if report.repairs is not None:
        yield from _of_repairs(report.repairs)


def _of_finding(finding: Finding) -> Iterator[str]:
    first = [_told(one) for one in finding.examples[:_EXAMPLES_TOLD]]
    more = "; …" if finding.count > len(first) and first else ""
    examples = f": {'; '.join(first)}{more}" if first else ""
    mark = "WRONG" if finding.is_wrong else "note "
    yield f"  {mark} {finding.kind}: {finding.count:,} {finding.what}{examples}"
    if finding.next_step:
        yield f"        next: {finding.next_step}"


def _of_repairs(repairs: Repairs) -> Iterator[str]:
    done = "would send" if repairs.dry_run else "to be sent"
    for one in repairs.replays:
        yield f"  repair: {done}: {shown(one.sentence)}"
    if not repairs.replays:
        yield "  repair: there is nothing to send"
    if repairs.gone:
        yield f"  repair: Kafka no longer holds {counted(repairs.gone, 'record')} of these"
    if repairs.left:
        yield f"  repair: {counted(repairs.left, 'file')} more; audit again to go on with them"


def _told(one: Example) -> str:
    path = shown(one.path) if one.path else ""
    head = f"{path} ({one.place})" if path and one.place else path or one.place or ""
    return f"{head}: {shown(one.detail)}" if head and one.detail else head or shown(one.detail)
