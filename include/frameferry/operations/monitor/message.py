"""What notifiers are given to write: a subject, plain text, HTML, and the alarms one by one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Any

from frameferry.config.notifiers import NotifierSettings
from frameferry.domain.alarms import Severity
from frameferry.domain.wording import counted
from frameferry.operations.monitor.telling import New, News, Over


@dataclass(frozen=True, slots=True)
class Message:
    """
    A message in the forms that notifiers take.

    `html` is escaped: sentences hold words from outside, such as labels and answers of servers.
    """

    subject: str
    lines: tuple[str, ...]
    alarms: tuple[dict[str, Any], ...] = ()

    @property
    def for_templates(self) -> dict[str, Any]:
        """What templates may use as `frameferry`."""
        return {
            "subject": self.subject,
            "text": "\n".join(self.lines),
            "html": "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in self.lines) + "</ul>",
            "alarms": list(self.alarms),
        }


def alarm_message(told: News, notifier: NotifierSettings) -> Message | None:
    """Write what one notifier wants to hear of; None if that is nothing."""
    new = [one for one in told.new if _wants(notifier, one)]
    over = [one for one in told.over if _wants(notifier, one)]
    if not new and not over:
        return None
    return Message(
        subject=_subject(new, over),
        lines=(*map(_line, new), *map(_line_over, over)),
        alarms=tuple(
            {
                "pipeline": one.pipeline,
                "kind": str(one.alarm.kind),
                "severity": str(one.severity),
                "sentence": one.alarm.sentence,
                "since": one.since.isoformat(),
            }
            for one in new
        ),
    )


def failure_message(pipeline: str, dag_id: str, run_id: str, reason: str) -> Message:
    """Write that a run failed."""
    line = (
        f"{pipeline}: run {run_id} of the DAG {dag_id} failed ({reason}). "
        f"See its tasks in Airflow, and: frameferry status {pipeline}"
    )
    return Message(subject=f"Frameferry: a run of {pipeline} failed", lines=(line,))


def _wants(notifier: NotifierSettings, one: New | Over) -> bool:
    if notifier.severity == "critical" and one.severity is not Severity.CRITICAL:
        return False
    return notifier.wants_pipeline(one.pipeline)


def _subject(new: list[New], over: list[Over]) -> str:
    if not new:
        return f"Frameferry: over: {counted(len(over), 'alarm')} of {_pipelines(over)}"
    if len(new) == 1:
        one = new[0]
        return f"Frameferry: {one.pipeline}: {one.severity}: {one.alarm.kind}"
    return f"Frameferry: {len(new)} new alarms of {_pipelines(new)}"


def _pipelines(named: Iterable[New | Over]) -> str:
    return ", ".join(dict.fromkeys(one.pipeline for one in named))


def _line(one: New) -> str:
    return f"{one.pipeline}: {one.severity}: {one.alarm.kind}: {one.alarm.sentence}"


def _line_over(one: Over) -> str:
    return f"{one.pipeline}: over: {one.key}, which stood since {one.since:%Y-%m-%d %H:%M} UTC"
