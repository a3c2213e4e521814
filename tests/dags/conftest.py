"""An Airflow of our own in a temporary folder: set before airflow is first imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fixtures.ferry import bench

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def airflow_home(tmp_path_factory):
    """Migrate a metadata database in a folder of its own, and point the environment there."""
    folder = tmp_path_factory.mktemp("airflow")
    os.environ.update(
        {
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/airflow.db",
            "AIRFLOW__API_AUTH__JWT_SECRET": "a-secret-of-the-tests-only-" + "0" * 40,
            "AIRFLOW__API__SECRET_KEY": "another-secret-of-the-tests-" + "0" * 40,
            "FRAMEFERRY_HOME": str(folder / "frameferry"),
            "FRAMEFERRY_PIPELINES": str(ROOT / "include/pipelines"),
        }
    )
    subprocess.run(
        [str(Path(sys.executable).with_name("airflow")), "db", "migrate"],
        check=True,
        capture_output=True,
        timeout=180,
    )
    return folder


@pytest.fixture
def ferry(tmp_path, airflow_home, kafka_server, ftp_server, monkeypatch):
    """A pipeline on real servers, in the environment as Airflow's tasks find it."""
    topic = kafka_server.create_topic(partitions=2)
    ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
    ferry.write()
    for name, value in ferry.environment().items():
        if name.startswith(("AIRFLOW_CONN_", "FRAMEFERRY_")):
            monkeypatch.setenv(name, value)
    return ferry
