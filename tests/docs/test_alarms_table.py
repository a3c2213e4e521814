"""docs/alarms.md lists every alarm with its severity, and every metric with its labels."""

from __future__ import annotations

import re
from pathlib import Path

from frameferry.domain.alarms import Alarm, AlarmKind
from frameferry.operations.monitor.gauges import ALL

PAGE = (Path(__file__).parents[2] / "docs/alarms.md").read_text(encoding="utf-8")


def table_of(module: str) -> list[str]:
    inside = PAGE.partition(f"<!-- table: {module} -->")[2].partition("<!-- end -->")[0]
    return [line for line in inside.splitlines() if line.startswith("| `")]


def test_every_alarm_is_there_with_its_severity_and_what_to_do() -> None:
    rows = [re.split(r" ?\| ?", row)[1:-1] for row in table_of("frameferry.domain.alarms")]
    assert [f"`{kind}`" for kind in AlarmKind] == [row[0] for row in rows]
    assert [Alarm(kind, "").severity for kind in AlarmKind] == [row[1] for row in rows]
    assert all(when and to_do for _, _, when, to_do in rows)


def test_every_metric_is_there_with_its_labels_and_meaning() -> None:
    expected = [
        f"| `{gauge.full_name}` | {', '.join(f'`{one}`' for one in gauge.labels)} | {gauge.help} |"
        for gauge in ALL
    ]
    assert expected == table_of("frameferry.operations.monitor.gauges"), "\n".join(expected)
