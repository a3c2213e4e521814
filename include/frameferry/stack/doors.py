"""How to reach the servers of a home: connections for programs, doors for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from typing import Any

from frameferry.config.home import home, ledger_url, pipelines_folder
from frameferry.stack import airflow, ftp, kafka, spark
from frameferry.stack.servers import Setting
from frameferry.stack.state import StackState


def environment(
    state: StackState, names: Collection[str], secret: Callable[[str], str] | None = None
) -> dict[str, str]:
    """
    List the variables that point a program at the home's files and at some of its servers.

    Args:
        state: What is known of the home.
        names: The servers whose connections are described.
        secret: Makes a secret that is not there yet; None makes none.
    """
    described = {
        "FRAMEFERRY_HOME": str(home()),
        "FRAMEFERRY_PIPELINES": str(pipelines_folder()),
        "FRAMEFERRY_LEDGER_URL": ledger_url(),
    }
    for name, (variable, describe) in _CONNECTIONS.items():
        if name in names and name in state.servers:
            described[variable] = json.dumps(describe(setting(state, name, secret)))
    return described


def door(name: str, state: StackState) -> dict[str, Any]:
    """Describe a server's address and how to log in; passwords are in it."""
    return _DOORS[name](setting(state, name))


def server_behind(variable: str, value: str, state: StackState) -> str | None:
    """Name the server that a variable describes; None if that is somebody's own."""
    for name, (ours, _) in _CONNECTIONS.items():
        if ours == variable and environment(state, [name]).get(ours) == value:
            return name
    return None


def setting(state: StackState, name: str, secret: Callable[[str], str] | None = None) -> Setting:
    """Say what a server is built from; without *secret* for looking only: none is made."""
    return Setting(
        home(), state.server(name).ports, secret or (lambda key: state.secrets.get(key, ""))
    )


def _kafka_door(built_from: Setting) -> dict[str, Any]:
    return {"bootstrap_servers": kafka.build(built_from).bootstrap_servers}


def _spark_door(built_from: Setting) -> dict[str, Any]:
    return {"url": spark.build(built_from).url}


def _kafka_connection(built_from: Setting) -> dict[str, Any]:
    servers_ = kafka.build(built_from).bootstrap_servers
    return {"conn_type": "kafka", "extra": {"bootstrap.servers": servers_}}


def _ftp_connection(built_from: Setting) -> dict[str, Any]:
    reached = _ftp_door(built_from)
    return {
        "conn_type": "ftp",
        "host": reached["host"],
        "port": reached["port"],
        "login": reached["user"],
        "password": reached["password"],
    }


def _spark_connection(built_from: Setting) -> dict[str, Any]:
    server = spark.build(built_from)
    return {"conn_type": "spark_connect", "host": f"sc://{server.host}", "port": server.port}


def _ftp_door(built_from: Setting) -> dict[str, Any]:
    server = ftp.build(built_from)
    return {
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "root": str(server.root),
    }


def _airflow_door(built_from: Setting) -> dict[str, Any]:
    server = airflow.build(built_from, {}, {})
    return {"url": server.url, "user": airflow.USER, "password": server.password}


_CONNECTIONS = {
    "kafka": ("AIRFLOW_CONN_PLANT_KAFKA", _kafka_connection),
    "ftp": ("AIRFLOW_CONN_ARCHIVE_FTP", _ftp_connection),
    "spark": ("AIRFLOW_CONN_SPARK_DEFAULT", _spark_connection),
}

_DOORS: dict[str, Callable[[Setting], dict[str, Any]]] = {
    "kafka": _kafka_door,
    "spark": _spark_door,
    "ftp": _ftp_door,
    "airflow": _airflow_door,
}
