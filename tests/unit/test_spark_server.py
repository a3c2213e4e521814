"""What a Spark Connect server that others started should be set to, and why."""

from __future__ import annotations

import pytest

from frameferry.spark.server import advice
from frameferry.stack.spark import CONF


def test_the_embedded_server_is_set_as_it_should_be() -> None:
    assert [] == advice(CONF, max_records=20_000)


def test_a_server_as_spark_starts_it_is_told_what_to_change() -> None:
    told = advice({"spark.driver.maxResultSize": "1g"}, max_records=20_000)
    assert [line.split()[1] for line in told] == [
        "spark.connect.session.manager.defaultSessionTimeout",
        "spark.python.daemon.module",
        "spark.scheduler.mode",
    ]
    assert all("not set" in line and ": " in line for line in told)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("spark.connect.session.manager.defaultSessionTimeout", "60m"),
        ("spark.python.daemon.module", "pyspark.daemon"),
        ("spark.python.worker.reuse", "false"),
        ("spark.scheduler.mode", "FIFO"),
        ("spark.executor.pyspark.memory", "2g"),
        ("spark.driver.maxResultSize", "1m"),
        ("spark.driver.maxResultSize", "1048576"),
        ("spark.driver.maxResultSize", "2MB"),
    ],
)
def test_each_setting_that_harms_is_named_with_its_value(name: str, value: str) -> None:
    (line,) = advice({**CONF, name: value}, max_records=20_000)
    assert name in line
    assert value in line


@pytest.mark.parametrize("value", ["0", "1g", "2048m", "4GB"])
def test_a_driver_that_takes_enough_is_let_be(value: str) -> None:
    assert [] == advice({**CONF, "spark.driver.maxResultSize": value}, max_records=20_000)
