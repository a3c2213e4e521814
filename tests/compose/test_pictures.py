"""
The containers carry the demo's pictures, each accounted for byte by byte, whatever crashes.

In no other run of tests: an image of gigabytes is made, and a machine's whole patience is needed.
"""

from __future__ import annotations

import json

import pytest
from fixtures.compose_project import Times, compose_project, sent
from fixtures.docker_engine import docker_engine, fetch_images

PYTHON, POSTGRES = "python:3.11-slim-bookworm", "postgres:17-bookworm"
REDIS = "redis:7-bookworm"
SOME = 20
"""So many deliveries show that work is under way, and leave enough of it."""
WORKERS, CELERY, SECURED = (
    f"containers/{name}.yaml" for name in ("spark-workers", "celery", "kafka-secured")
)
OVERLAYS = (WORKERS, CELERY, SECURED)

pytestmark = pytest.mark.timeout(2 * 3600)


@pytest.fixture(scope="module")
def times():
    return Times()


@pytest.fixture(scope="module")
def engine(times):
    with docker_engine() as reached:
        with times.step("images"):
            found = fetch_images(reached, (PYTHON, POSTGRES, REDIS))
        for name, how in found.items():
            times.tell(f"{'':9}  {name}: {how}")
        yield reached


@pytest.fixture
def started(engine, times, tmp_path, request):
    """Build and start a project with the overlays that the test names."""
    overlays = request.param
    with compose_project(engine, tmp_path, overlays) as project:
        with times.step("build"):
            project.compose("build", seconds=3600)
        with times.step("up, on empty volumes"):
            project.compose("up", "--detach", "--wait", "--no-build", seconds=1800)
        yield project


@pytest.mark.parametrize("started", [()], indirect=True, ids=["plain"])
def test_crashes_and_a_down_half_way_lose_nothing(started, times):
    count = send(started, times, 1)
    started.wait_for_deliveries(SOME)
    for service in ("spark", "airflow-scheduler", "kafka"):
        crash(started, times, service)
    account(started, times, 1)
    already = started.delivered()
    assert count == send(started, times, 2)
    started.wait_for_deliveries(already + SOME)
    with times.step("down half-way"):
        started.compose("down")
    with times.step("up, volumes kept"):
        started.compose("up", "--detach", "--wait", "--no-build", seconds=1800)
    account(started, times, 2)


@pytest.mark.parametrize("started", [(WORKERS,)], indirect=True, ids=["workers"])
def test_pictures_are_judged_on_workers_of_a_cluster(started, times):
    send(started, times, 1)
    started.wait_for_deliveries(SOME)
    assert "frameferry.spark.daemon" in processes_of(started, "spark-worker")
    assert "frameferry.spark.daemon" not in processes_of(started, "spark")
    crash(started, times, "spark-worker")
    crash(started, times, "spark-master")
    account(started, times, 1)


@pytest.mark.parametrize("started", [(CELERY,)], indirect=True, ids=["celery"])
def test_celery_carries_the_pictures_and_a_worker_may_die(started, times):
    send(started, times, 1)
    started.wait_for_deliveries(SOME)
    crash(started, times, "airflow-worker")
    crash(started, times, "redis")
    account(started, times, 1)
    told = started.compose("logs", "--no-color", "airflow-worker").stdout
    assert 2 == len({line.split("|")[0] for line in told.splitlines() if "succeeded" in line})


@pytest.mark.parametrize("started", [(SECURED,)], indirect=True, ids=["secured"])
def test_a_kafka_that_asks_for_a_password_over_tls_carries_the_pictures(started, times):
    send(started, times, 1)
    started.wait_for_deliveries(SOME)
    crash(started, times, "kafka")
    account(started, times, 1)
    assert_strangers_are_refused(started)


@pytest.mark.parametrize("started", [OVERLAYS], indirect=True, ids=["together"])
def test_all_of_it_together_carries_the_pictures(started, times):
    send(started, times, 1)
    started.wait_for_deliveries(SOME)
    assert "frameferry.spark.daemon" in processes_of(started, "spark-worker")
    assert "frameferry.spark.daemon" not in processes_of(started, "spark")
    for service in ("spark-worker", "airflow-worker", "redis", "kafka"):
        crash(started, times, service)
    assert_strangers_are_refused(started)
    account(started, times, 1)


def processes_of(project, service):
    listed = ("bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    return project.compose("exec", "-T", "--index", "1", service, *listed).stdout


def assert_strangers_are_refused(project):
    """Send without the log-in: the same command, with the connection of a Kafka without one."""
    plain = json.dumps({"conn_type": "kafka", "extra": {"bootstrap.servers": "kafka:9092"}})
    connection = ("--env", f"AIRFLOW_CONN_PLANT_KAFKA={plain}")
    stranger = project.compose("run", "--rm", "-T", *connection, "demo", "send", check=False)
    assert stranger.returncode != 0
    assert "cannot be created" in stranger.stdout + stranger.stderr


def send(project, times, rounds):
    with times.step(f"round {rounds} sent"):
        count, _ = sent(project.demo("send", "--rounds", str(rounds)).stdout)
    return count


def crash(project, times, service):
    before = project.state(service)
    with times.step(f"{service}'s first process killed; back"):
        project.kill_first_process(service)
        project.wait_until_it_is_back(service, before)
    assert project.state(service)["restarts"] > before["restarts"]


def account(project, times, rounds):
    with times.step(f"all carried, and accounted for, up to round {rounds}"):
        told = project.demo("account", "--rounds", str(rounds)).stdout
    times.tell(told)


def test_plain_leaves_no_volume_behind_that_has_no_name(engine, times, tmp_path):
    """What lies in an anonymous volume is lost at `down`, and its disk with it."""
    with compose_project(engine, tmp_path) as project:
        project.compose("create", "--no-build")
        listed = project.compose("ps", "--all", "--quiet").stdout.split()
        mounts = engine.docker("inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", *listed)
    assert {f"{project.name}_{name}" for name in ("airflow", "ftp", "kafka", "postgres")} == set(
        mounts.stdout.split()
    )
