"""The rules and the dashboard name metrics that there are, and no other."""

from __future__ import annotations

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from frameferry.operations.monitor.gauges import ALL

FOLDER = Path(__file__).parents[2] / "include/monitoring"
RULES = yaml.safe_load((FOLDER / "prometheus-rules.yaml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((FOLDER / "grafana-dashboard.json").read_text(encoding="utf-8"))
GAUGES = {gauge.full_name: gauge for gauge in ALL}
RULE = [rule for group in RULES["groups"] for rule in group["rules"]]
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
SAID = [
    *(rule["expr"] for rule in RULE),
    *(target["expr"] for panel in PANELS for target in panel["targets"]),
    *(one["query"]["query"] for one in DASHBOARD["templating"]["list"] if one["type"] == "query"),
]


@pytest.mark.parametrize("expression", SAID)
def test_every_metric_and_label_is_one_that_there_is(expression: str) -> None:
    for name, selected in re.findall(r"(frameferry_\w+)(?:\{([^}]*)\})?", expression):
        assert name in GAUGES
        labels = re.findall(r"(\w+)=", selected)
        assert set(labels) <= set(GAUGES[name].label_names), expression


def test_every_metric_that_tells_of_trouble_is_looked_at() -> None:
    used = set(re.findall(r"frameferry_\w+", " ".join(SAID)))
    assert set(GAUGES) - used == {"frameferry_asked", "frameferry_committed_offset"}


def test_every_alert_says_how_bad_it_is_and_what_to_do() -> None:
    for rule in (one for one in RULE if "alert" in one):
        assert rule["labels"]["severity"] in {"warning", "critical"}
        assert set(rule["annotations"]) == {"summary", "description"}


def test_no_panel_lies_on_another() -> None:
    ids = [panel["id"] for panel in PANELS]
    assert len(ids) == len(set(ids))
    for one, other in combinations((panel["gridPos"] for panel in PANELS), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y
