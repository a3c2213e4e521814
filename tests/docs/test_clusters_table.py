"""docs/clusters.md lists every key that says how a job reaches a cluster, and its examples hold."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_configuration_table import expected_rows

from frameferry.config.connections import spark_connection
from frameferry.config.deployment import Deployment
from frameferry.config.raw import from_json

PAGE = (Path(__file__).parents[2] / "docs/clusters.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def test_the_table_is_what_the_settings_say() -> None:
    rows = "\n".join(expected_rows(Deployment))
    table = PAGE.partition("<!-- table: frameferry.config.deployment -->")[2]
    assert rows == "\n".join(table.partition("<!-- end -->")[0].strip().splitlines()[2:]), rows


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_whole_connection(example: str) -> None:
    assert json.loads(example)["conn_type"] == "spark"
    found = spark_connection(from_json("spark_default", example))
    assert found.deployment != Deployment()


def test_there_is_an_example_of_each_engine() -> None:
    assert 2 == len(EXAMPLES)
