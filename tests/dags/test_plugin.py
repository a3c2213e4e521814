"""The page inside Airflow: it loads, and nobody gets past Airflow's own authorisation."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fixtures.page import get

if TYPE_CHECKING:
    from types import ModuleType

    from fastapi import FastAPI

pytestmark = [
    pytest.mark.usefixtures("airflow_home"),
    # Airflow's web app warns while it is imported, of things that are not ours.
    pytest.mark.filterwarnings("default"),
]

ROOT = Path(__file__).parents[2]
PATHS = ["/", "/pipelines", "/status.json", "/page.css", "/page.js"]


@pytest.fixture(scope="module")
def api_server(airflow_home: Path) -> FastAPI:
    """Airflow's own web app, which mounts what it finds in the plugins folder."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


@pytest.fixture(scope="module")
def plugin(airflow_home: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        "the_plugin", ROOT / "plugins/frameferry_plugin.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def user(role: str | None) -> Any:
    from airflow.api_fastapi.auth.managers.simple.user import (
        SimpleAuthManagerUser,
    )

    return SimpleAuthManagerUser(username="somebody", role=role)


def token(role: str | None) -> dict[str, str]:
    from airflow.api_fastapi.app import get_auth_manager

    return {"Authorization": f"Bearer {get_auth_manager().generate_jwt(user(role))}"}


def test_airflow_loads_the_plugin(api_server: FastAPI) -> None:
    from airflow import plugins_manager

    assert not plugins_manager.get_import_errors()
    (found,) = [one for one in plugins_manager.get_plugin_info() if one["name"] == "frameferry"]
    (view,) = found["external_views"]
    assert view["destination"] == "nav"


def test_the_tested_paths_are_all_there_are(api_server: FastAPI, plugin: ModuleType) -> None:
    mounted = [route for route in api_server.routes if route.path == plugin.URL_PREFIX]
    assert [[route.path for route in mount.app.routes] for mount in mounted] == [PATHS]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"Authorization": "Bearer nonsense"}, 403)]
)
def test_no_route_answers_without_a_token(
    api_server: FastAPI, path: str, headers: dict[str, str], status: int
) -> None:
    assert status == get(api_server, f"/frameferry{path}", headers).status_code


@pytest.mark.parametrize("path", PATHS)
def test_no_route_answers_a_user_without_a_role(api_server: FastAPI, path: str) -> None:
    assert get(api_server, f"/frameferry{path}", token(None)).status_code == 403


@pytest.mark.parametrize("path", PATHS)
def test_a_viewer_may_look(api_server: FastAPI, path: str) -> None:
    assert get(api_server, f"/frameferry{path}", token("VIEWER")).status_code == 200


def test_connections_come_from_airflow_and_a_missing_one_is_advice(api_server: FastAPI) -> None:
    answer = get(api_server, "/frameferry/status.json", token("VIEWER")).json()
    assert [one["pipeline"] for one in answer["pipelines"]] == ["paint-b", "press-a"]
    for one in answer["pipelines"]:
        assert "Airflow has no connection 'plant_kafka'" in " ".join(one["advice"])


@pytest.mark.parametrize(("role", "may"), [("VIEWER", True), (None, False)])
def test_airflow_says_which_pipelines_one_may_read(
    api_server: FastAPI, plugin: ModuleType, role: str | None, *, may: bool
) -> None:
    from starlette.requests import Request

    request = Request({"type": "http", "path_params": {}, "query_string": b"", "headers": []})
    assert may is plugin.readable_pipelines()(request, user(role))("press-a")


IN_A_TASK = """
    import sys
    from airflow.sdk import plugins_manager
    plugins, errors = plugins_manager._get_plugins()
    assert not errors, errors
    assert "frameferry" in [plugin.name for plugin in plugins]
"""
IN_THE_API_SERVER = """
    import sys
    from airflow import plugins_manager
    apps, _ = plugins_manager.get_fastapi_plugins()
    assert not plugins_manager.get_import_errors(), plugins_manager.get_import_errors()
    assert "/frameferry" in [app["url_prefix"] for app in apps]
"""
HEAVY = {"pyspark", "tensorflow", "keras", "pandas"}


@pytest.mark.parametrize(
    ("program", "shunned"),
    [
        (IN_A_TASK, HEAVY | {"frameferry.page.app", "airflow.api_fastapi.core_api.security"}),
        (IN_THE_API_SERVER, HEAVY),
    ],
    ids=["task", "api-server"],
)
def test_loading_costs_little(airflow_home: Path, program: str, shunned: set[str]) -> None:
    check = f"met = {shunned!r} & set(sys.modules)\nassert not met, met\n"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program) + check],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
