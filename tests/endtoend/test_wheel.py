"""A wheel is whole: installed away from any checkout, it carries pictures by both ways to Spark."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from fixtures.judging import MODEL, is_daemon, surface
from fixtures.kafka import KafkaServer
from fixtures.processes import command_line, descendants
from fixtures.wheel import ROOT, Built, Installed, build, install

import frameferry
from frameferry.stack.state import StateFile

PACKAGE = Path(frameferry.__file__).parent
PIPELINES = {"warm": "spark_default", "cold": "spark_submitted"}
"""Each by its Spark connection: the embedded Spark Connect server, and spark-submit."""
WHICH = "import frameferry, json, sys; print(json.dumps([frameferry.__file__, *sys.path]))"


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Built:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(built, tmp_path_factory) -> Iterator[Installed]:
    place = install(built.wheel, tmp_path_factory.mktemp("installed"))
    yield place
    place.frameferry("stack", "down")


def test_the_wheel_holds_the_package_without_the_demo_and_nothing_else(built):
    files = {
        path.relative_to(PACKAGE.parent).as_posix()
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    wanted = {name for name in files if not name.startswith("frameferry/demo/")}
    assert wanted == {name for name in built.names() if ".dist-info/" not in name}


def test_the_sdist_has_what_an_airflow_takes_from_a_checkout(built):
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    folders = ("dags", "plugins", "spark_jobs")
    wanted = {f"{folder}/{one.name}" for folder in folders for one in ROOT.glob(f"{folder}/*.py")}
    assert wanted <= names
    assert not [name for name in names if name.startswith("tests")]


def test_its_metadata_says_what_it_is_and_what_it_needs(built):
    metadata = built.metadata()
    assert frameferry.__version__ == metadata["Version"]
    assert "Apache-2.0" == metadata["License-Expression"]
    assert ["LICENSE"] == metadata.get_all("License-File")
    assert "text/markdown" == metadata["Description-Content-Type"]
    assert (ROOT / "README.md").read_text(encoding="utf-8").strip() in metadata.get_payload()
    asked = (ROOT / "requirements.in").read_text(encoding="utf-8").splitlines()
    assert [line for line in asked if not line.startswith("#")] == metadata.get_all("Requires-Dist")
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in built.names())


def test_it_is_imported_from_its_own_environment_and_knows_its_version(installed):
    place, *paths = json.loads(installed.run("python", "-c", WHICH).stdout)
    assert Path(place).is_relative_to(installed.environment)
    assert not [path for path in paths if Path(path).is_relative_to(ROOT)]
    assert f"frameferry {frameferry.__version__}\n" == installed.frameferry("--version")


@pytest.mark.parametrize("command", [("stack", "up"), ("demo", "--exit")])
def test_what_is_only_of_a_checkout_says_so_and_starts_nothing(installed, command):
    done = installed.run("frameferry", *command, seconds=60)
    assert 1 == done.returncode
    said = " ".join(done.stderr.split())
    assert "need a checkout of the project" in said
    assert "frameferry stack up --only kafka,spark,ftp" in said
    assert not installed.home.exists()


@pytest.mark.timeout(600)
def test_it_carries_a_picture_by_spark_connect_and_by_spark_submit(installed):
    shutil.copytree(MODEL, installed.folder / "model")
    installed.frameferry("stack", "up", "--only", "kafka,spark,ftp")
    servers = installed.json("stack", "status")
    broker = KafkaServer(servers["kafka"]["bootstrap_servers"], StateFile(installed.home))
    for seed, name in enumerate(PIPELINES):
        write_pipeline(installed, name)
        broker.produce(broker.create_topic(name), [surface(seed)])
    installed.frameferry("run", "warm", "--until-caught-up")
    spark = StateFile(installed.home).state.servers["spark"].processes["spark"]
    daemons = filter(is_daemon, map(command_line, descendants(spark.pid)))
    assert {str(installed.python)} == {program for program, *_ in daemons}
    installed.frameferry("run", "cold", "--until-caught-up")
    for seed, name in enumerate(PIPELINES):
        (record,) = installed.json("records", name)
        file = Path(servers["ftp"]["root"]) / record["remote_path"].lstrip("/")
        assert ("good", surface(seed)) == (record["label"], file.read_bytes())


def write_pipeline(installed: Installed, name: str) -> None:
    """A pipeline with a model of the user's own, on the connection of this name."""
    content = {
        "pipeline": name,
        "kafka": {"connection": "plant_kafka", "topic": name},
        "model": {"path": str(installed.folder / "model")},
        "spark": {"connection": PIPELINES[name]},
        "deliver": {"connection": "archive_ftp", "base": f"/{name}"},
    }
    folder = installed.folder / "pipelines"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
