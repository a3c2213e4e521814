"""Code, packages and model come to the executors in the ways that docs/clusters.md tells."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.clusters import Cluster
from fixtures.judging import MODEL, make_job, surface
from fixtures.kafka import KafkaServer

import frameferry
from frameferry.config.settings import ModelSettings
from frameferry.domain.offsets import OffsetRange
from frameferry.spark.job import JudgeJob
from frameferry.spark.route import judge

pytestmark = pytest.mark.timeout(1200)
ROOT = Path(__file__).parents[2]
PACKAGE = Path(frameferry.__file__).parent
DEADLINE_SECONDS = 900
PICTURES = 24


@pytest.fixture
def job(kafka_server: KafkaServer, tmp_path: Path) -> JudgeJob:
    """A job whose model only this test knows."""
    model = tmp_path / "only-here" / "1"
    shutil.copytree(MODEL, model)
    topic = kafka_server.create_topic()
    kafka_server.produce(topic, [surface(seed % 8) for seed in range(PICTURES)])
    job = make_job(kafka_server, topic, OffsetRange(0, 0, PICTURES))
    return replace(job, model=ModelSettings(path=str(model)))


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The archive that `scripts/pack-workers` makes: half a gigabyte."""
    folder = tmp_path_factory.mktemp("packed")
    archive = folder / "workers.tar.gz"
    subprocess.run([ROOT / "scripts" / "pack-workers", archive], check=True, timeout=900)
    yield archive
    shutil.rmtree(folder)


def test_a_packed_environment_brings_all_to_a_driver_on_yarn_and_its_executors(
    yarn_cluster: Cluster, job: JudgeJob, packed: Path, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    connection = yarn_cluster.connection(
        deploy_mode="cluster",
        folder=str(shared),
        archives=[f"{packed}#workers"],
        python="./workers/bin/python",
        ship_model=True,
    )
    answer = judge(job, connection, deadline_seconds=DEADLINE_SECONDS)
    assert PICTURES == sum(one.label is not None for one in answer.predictions)


def test_an_installed_python_and_our_package_as_a_zip_are_enough(
    standalone_cluster: Cluster, job: JudgeJob, packed: Path, tmp_path: Path
) -> None:
    installed = tmp_path / "installed"
    installed.mkdir()
    subprocess.run(["tar", "-C", installed, "-xzf", packed], check=True, timeout=600)
    python = installed / "bin" / "python"
    # All is there but this package.
    shutil.rmtree(next(installed.glob("lib/*/site-packages/frameferry")))
    code = tmp_path / "frameferry.zip"
    subprocess.run([sys.executable, "-m", "zipfile", "-c", code, PACKAGE], check=True, timeout=120)
    assert "frameferry/errors.py" in zipfile.ZipFile(code).namelist()
    connection = standalone_cluster.connection(
        python=str(python), py_files=[str(code)], ship_model=True
    )
    answer = judge(job, connection, deadline_seconds=DEADLINE_SECONDS)
    assert PICTURES == sum(one.label is not None for one in answer.predictions)
