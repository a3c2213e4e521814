"""Mark each test by its folder, and keep every test away from the working copy's own state."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

pytest_plugins = ["fixtures.kafka", "fixtures.spark", "fixtures.ftp", "fixtures.ftp_matrix"]

KINDS = ("unit", "property", "integration", "faults", "dags", "browser", "docs", "endtoend")
HERE = Path(__file__).parent


def pytest_configure(config):
    for kind in KINDS:
        config.addinivalue_line("markers", f"{kind}: tests in tests/{kind}")


def pytest_collection_modifyitems(items):
    for item in items:
        kind = Path(item.fspath).relative_to(HERE).parts[0]
        if kind in KINDS:
            item.add_marker(getattr(pytest.mark, kind))
        if kind == "dags":
            # Airflow's own parts warn of each other; what our DAG files warn of is asked for
            # in test_integrity.
            item.add_marker(pytest.mark.filterwarnings("default"))


@pytest.fixture(scope="session")
def _homes(tmp_path_factory):
    """Folders for thousands of tests: pytest would look through all of them for each new one."""
    return tmp_path_factory.mktemp("homes"), itertools.count()


@pytest.fixture(autouse=True)
def _own_home(_homes, monkeypatch, request):
    """A test that names no home gets an empty one."""
    if "airflow_home" not in request.fixturenames and "stack_home" not in request.fixturenames:
        folder, numbers = _homes
        home = folder / str(next(numbers))
        home.mkdir()
        monkeypatch.setenv("FRAMEFERRY_HOME", str(home))
