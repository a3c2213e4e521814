"""
Mark each test by its folder, and keep every test away from the working copy's own state.

Where tests run in several processes, those of a file stay in one, and those that need Spark in one
and the same: two Spark servers on two cores starve each other. So do those of a folder that sets up
an Airflow.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings

pytest_plugins = [
    "fixtures.kafka",
    "fixtures.spark",
    "fixtures.ftp",
    "fixtures.ftp_matrix",
    "fixtures.ledgers",
]

KINDS = (
    "unit",
    "property",
    "integration",
    "faults",
    "dags",
    "browser",
    "docs",
    "endtoend",
    "prometheus",
    "compose",
    "clusters",
)
HERE = Path(__file__).parent
SPARK_FIXTURES = {"spark_server", "poisoned"}
SPARK_FILES = {
    "test_doctor.py",
    "test_secured_kafka.py",
    "test_spark_connect.py",
    "test_spark_pictures.py",
    "test_spark_own_judge.py",
    "test_spark_quotas.py",
    "test_spark_submit.py",
    "test_stack_spark.py",
    "test_poison.py",
    "test_load.py",
}
WHOLE_FOLDERS = {"dags", "browser", "endtoend"}
SAID = "said"
"""The property under which a test tells what it covered, for whoever reads the run."""


# How long one example takes is the machine's matter, which may have much else to do. Which examples
# are drawn follows from the test, unless `make search` wants others.
settings.register_profile("fixed", deadline=None, derandomize=True)
settings.register_profile("searching", deadline=None, print_blob=True, max_examples=500)
settings.load_profile("searching" if os.environ.get("FRAMEFERRY_SEARCH") else "fixed")


def pytest_addoption(parser):
    parser.addoption("--times", type=Path, help="add how long each test took to this file")


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
    _slowest_first(items)


def _slowest_first(items):
    needs_spark = {item.path.name for item in items if SPARK_FIXTURES & set(item.fixturenames)}
    assert needs_spark <= SPARK_FILES, f"name {needs_spark - SPARK_FILES} in SPARK_FILES"
    # Then the faults: the longest file must not be the last, with one process idle beside it.
    items.sort(key=lambda item: (item.path.name not in SPARK_FILES, "faults" not in item.keywords))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Keep a file in one process, or a server that was chosen; and Spark in one and the same."""
    from fixtures.ftp_matrix import STANDARD, scope
    from xdist.scheduler import LoadScopeScheduling

    is_by_server = config.getoption("--ftp-servers") != STANDARD

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            if is_by_server:
                return scope(nodeid)
            path = Path(nodeid.partition("::")[0])
            if path.parent.name in WHOLE_FOLDERS:
                return path.parent.name
            return "spark" if path.name in SPARK_FILES else str(path)

    return ByFile(config, log)


def pytest_terminal_summary(terminalreporter, config):
    """Show what tests told of their coverage: their seeds, and how much was met."""
    for report in terminalreporter.stats.get("passed", []):
        for name, line in report.user_properties:
            if name == SAID:
                terminalreporter.write_line(f"{report.nodeid.rpartition('::')[2]}: {line}")
    if (times := config.getoption("--times")) is not None:
        _add_times(times, terminalreporter.stats)


def _add_times(path, stats):
    """Write a line a test: its seconds, with whatever it started first, and its name."""
    taken = Counter()
    for report in itertools.chain.from_iterable(stats.values()):
        if hasattr(report, "duration"):
            taken[report.nodeid] += report.duration
    with path.open("a", encoding="utf-8") as file:
        file.writelines(f"{seconds:.1f} {name}\n" for name, seconds in taken.items())


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
