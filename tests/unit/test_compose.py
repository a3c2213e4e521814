"""The containers run what the embedded stack runs. `make compose-test` starts them."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from check_jsonschema import main as check_jsonschema

from frameferry.config.connections import resolve_from_environment
from frameferry.config.folder import load_all
from frameferry.demo import elsewhere
from frameferry.stack import airflow, ftp, health, ports, service
from frameferry.stack.airflow import Airflow

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yaml"
OVERLAYS = sorted((ROOT / "containers").glob("*.yaml"))
CHECK = ["CMD", "python", "-I", "-m", "frameferry.stack.health"]


@pytest.fixture(scope="module")
def services():
    return yaml.safe_load(COMPOSE.read_text())["services"]


@pytest.fixture(scope="module")
def ours(services):
    """Those that run what `frameferry stack up` runs."""
    return {name: one for name, one in services.items() if name not in {"postgres", "demo"}}


@pytest.fixture(scope="module")
def airflow_environment():
    described = Airflow(
        folder=ROOT, port=1, log=Path, secret=str, connections={}, pools={}
    ).environment()
    return {name for name in described if name.startswith("AIRFLOW__")}


@pytest.fixture(scope="module")
def added():
    """What the overlays add or change, by service, one after the other."""
    found = {}
    for path in OVERLAYS:
        for name, one in yaml.safe_load(path.read_text())["services"].items():
            found[name] = {**found.get(name, {}), **one}
    return found


def test_all_of_them_keep_the_compose_schema(capsys):
    arguments = ["--builtin-schema", "vendor.compose-spec", *map(str, [COMPOSE, *OVERLAYS])]
    with pytest.raises(SystemExit) as ended:
        check_jsonschema(arguments)
    assert 0 == ended.value.code, capsys.readouterr()


def test_every_server_is_a_service_and_every_command_is_one_of_ours(ours, added):
    assert {(name,) for name in service.SERVICES} == {
        *(tuple(one["command"]) for one in ours.values()),
        *(
            tuple(one["command"])
            for name, one in added.items()
            if "command" in one and "entrypoint" not in one and name != "redis"
        ),
    }
    assert all([name] == one["command"] for name, one in ours.items())
    entry = re.search(r"^ENTRYPOINT (\[.*\])$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert ["python", "-m", "frameferry.stack.service"] == json.loads(entry[1])


def test_the_demo_is_there_for_whoever_asks_for_it_and_ends(services):
    demo = services["demo"]
    assert ["demo"] == demo["profiles"]
    assert "no" == demo["restart"]
    assert elsewhere.__spec__.name == demo["entrypoint"][-1]
    assert demo["environment"][elsewhere.FILES].startswith("/srv/ftp/")
    assert ["ftp:/srv/ftp:ro"] == demo["volumes"]


def test_the_image_is_made_once_and_never_asked_of_a_registry(ours):
    """Eight services that build are eight exports of gigabytes."""
    assert ["airflow-init"] == [name for name, one in ours.items() if "build" in one]
    assert {("frameferry", "never")} == {
        (one["image"], one["pull_policy"]) for one in ours.values()
    }


def test_every_server_has_its_health_check(ours, added):
    asked = [
        one["healthcheck"]["test"]
        for one in [*ours.values(), *added.values()]
        if "test" in one.get("healthcheck", {}) and one.get("image") != "redis:7-bookworm"
    ]
    assert sorted([*CHECK, name] for name in health.CHECKS) == sorted(asked)
    assert {"airflow-init"} == {name for name, one in ours.items() if "healthcheck" not in one}


def test_what_dies_is_started_again_and_ends_when_it_is_told_to(services, ours):
    assert "on-failure" == services["airflow-init"]["restart"]
    stay = set(services) - {"airflow-init", "demo"}
    assert {"unless-stopped"} == {services[name]["restart"] for name in stay}
    assert {True} == {one["init"] for one in ours.values()}


def test_every_variable_is_one_that_somebody_reads(ours, added, airflow_environment):
    secrets = set(re.findall(r"FRAMEFERRY_SECRET_\w+", (ROOT / ".env.example").read_text()))
    known = {
        "FRAMEFERRY_LISTEN",
        "FRAMEFERRY_ADVERTISE",
        "FRAMEFERRY_PIPELINES",
        "FRAMEFERRY_LEDGER_URL",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC",
        "AIRFLOW__CELERY__BROKER_URL",
        "AIRFLOW__CELERY__RESULT_BACKEND",
        "FRAMEFERRY_SERVER_PEM",
        "FRAMEFERRY_SPARK_MASTER",
        *connections_of_pipelines(),
        *airflow_environment,
        *secrets,
    }
    for one in [*ours.values(), *added.values()]:
        assert set(one.get("environment", ())) <= known


def connections_of_pipelines():
    whole, _ = load_all(ROOT / "include" / "pipelines")
    ids = {
        conn_id
        for pipeline in whole.values()
        for conn_id in (
            pipeline.kafka.connection,
            pipeline.deliver.connection,
            pipeline.spark.connection,
        )
    }
    return {f"AIRFLOW_CONN_{conn_id.upper()}" for conn_id in ids}


def test_every_connection_of_the_pipelines_names_a_service_and_its_port(services, monkeypatch):
    environment = services["airflow-scheduler"]["environment"]
    found = {}
    for name in connections_of_pipelines():
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "secret", environment[name]))
        raw = resolve_from_environment(name.removeprefix("AIRFLOW_CONN_").lower())
        address = raw.extra.get("bootstrap.servers") or f"{raw.host}:{raw.port}"
        found[raw.conn_type] = address.removeprefix("sc://")
    assert {
        "kafka": f"kafka:{ports.WELL_KNOWN['broker']}",
        "spark_connect": f"spark:{ports.WELL_KNOWN['connect']}",
        "ftp": f"ftp:{ports.WELL_KNOWN['control']}",
    } == found
    assert ftp.USER in environment["AIRFLOW_CONN_ARCHIVE_FTP"]


def test_every_secret_that_a_server_asks_for_is_demanded_and_none_is_written_down(services):
    secrets = {
        "ftp.password",
        "kafka.password",
        *(f"airflow.{key}" for key in ("password", "secret_key", "jwt_secret", "fernet_key")),
    }
    wanted = {service.secret_variable(name) for name in secrets} | {"POSTGRES_PASSWORD"}
    written = dict(
        line.split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if line and not line.startswith("#")
    )
    assert dict.fromkeys(wanted, "") == written
    text = "".join(path.read_text() for path in [COMPOSE, *OVERLAYS])
    assert wanted == set(re.findall(r"\$\{(\w+):\?", text))
    assert set() == set(re.findall(r"\$\{(\w+)[^:\w]", text))


def test_all_parts_of_airflow_share_one_environment_and_one_folder(services):
    parts = [services[f"airflow-{name}"] for name in [*airflow.COMPONENTS, "init"]]
    assert all(parts[0]["environment"] == part["environment"] for part in parts)
    assert all(parts[0]["volumes"] == part["volumes"] for part in parts)


def test_only_airflows_page_is_published_and_only_on_loopback(services):
    published = {name: one["ports"] for name, one in services.items() if "ports" in one}
    port = ports.WELL_KNOWN["api"]
    assert {"airflow-api-server": [f"127.0.0.1:{port}:{port}"]} == published


def test_the_image_gets_everything_that_its_recipe_copies():
    recipe = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", recipe, re.MULTILINE)
        for name in line.split()
    ]
    allowed = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" == allowed[0]
    for name in copied:
        assert {f"!{name}", f"!{name.partition('/')[0]}"} & set(allowed), name
        assert (ROOT / name).exists()


def test_a_change_of_code_leaves_the_layers_of_requirements_alone():
    recipe = (ROOT / "Dockerfile").read_text()
    last = recipe[recipe.index(" AS frameferry") :]
    assert last.index("COPY --from=requirements") < last.index("COPY include")
    before = recipe[: recipe.index(" AS jars")]
    assert ["scripts/setup", "requirements.txt"] == re.findall(r"^COPY (\S+)", before, re.MULTILINE)
    assert "USER ferry" in last
    assert "VOLUME" not in recipe


def test_celerys_image_has_what_its_overlay_asks_for_and_all_of_airflow_runs_it(services, added):
    assert added["airflow-init"]["build"] == {"target": "celery"}
    assert " AS celery\n" in (ROOT / "Dockerfile").read_text()
    parts = {name for name in services if name.startswith("airflow-")} | {"airflow-worker", "demo"}
    assert parts == {name for name, one in added.items() if one.get("image") == "frameferry-celery"}


def test_whoever_reads_kafka_trusts_its_authority(services, added):
    readers = {name for name in services if name.startswith("airflow-")} | {"spark", "demo"}
    mounts = {
        name
        for name, one in added.items()
        if "trust:/var/lib/frameferry-trust:ro" in one.get("volumes", [])
    }
    assert readers == mounts
    assert "/var/lib/frameferry-trust" in (ROOT / "Dockerfile").read_text()


def test_git_never_takes_the_secrets():
    assert ".env" in (ROOT / ".gitignore").read_text().splitlines()


def test_a_wrong_name_is_answered_by_the_names_that_exist(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["service", "postgres"])
    assert 2 == service.main()
    assert (
        "kafka|kafka-secured|spark|spark-master|spark-worker|ftp|airflow-init"
        in capsys.readouterr().err
    )


def test_a_missing_secret_is_named_in_one_line(monkeypatch, capsys):
    monkeypatch.delenv("FRAMEFERRY_SECRET_FTP_PASSWORD", raising=False)
    monkeypatch.setattr(sys, "argv", ["service", "ftp"])
    assert 1 == service.main()
    assert "FRAMEFERRY_SECRET_FTP_PASSWORD is not set. Set it, as in .env.example\n" == (
        capsys.readouterr().err
    )
