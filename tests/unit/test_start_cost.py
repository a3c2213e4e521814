"""A command, a DAG's parsing and each of a run's tasks pay for what the programs import."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "numpy",
    "pyarrow",
    "PIL",
    "imagecodecs",
    "pandas",
    "grpc",
    "jinja2",
    "tensorflow",
    "airflow",
)


@pytest.mark.parametrize("module", ["frameferry.cli.main", "frameferry.pipeline.steps"])
def test_what_few_need_is_not_imported_for_all(module: str) -> None:
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    argv = [sys.executable, "-c", program]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    assert module in loaded
    assert [] == sorted(set(HEAVY) & set(loaded))
