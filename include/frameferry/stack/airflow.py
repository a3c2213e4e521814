"""
Airflow as four processes: api-server, scheduler, dag-processor, triggerer.

Everything is set by environment; the figures were tuned by measurement (docs/decisions). The same
names and values are in docker-compose.yaml, and a test compares them.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from frameferry.stack import airflow_database, health, layout, ports
from frameferry.stack.processes import Command
from frameferry.stack.servers import Kind, Setting
from frameferry.stack.state import write_private

USER = "admin"
PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
COMPONENTS: dict[str, tuple[str, ...]] = {
    "api-server": ("api-server", "--workers", "1"),
    # Logs lie in one folder that all parts see: nobody has to serve them.
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
CELERY_WORKER = ("celery", "worker", "--skip-serve-logs", "--concurrency", "3")
"""What runs tasks of a Celery executor, three at once. The containers' only."""
_FOLDER, _DATABASE = "airflow", "airflow.db"

SETTINGS: dict[str, str] = {
    "AIRFLOW__API__WORKERS": "1",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "60",
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    # The default looks our own name up in the DNS, which may take seconds if there is none.
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__PARALLELISM": "6",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": "120",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "20",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "5",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    # Each running task calls the api-server once a second.
    "AIRFLOW__LOGGING__NAMESPACE_LEVELS": "http.access=WARNING",
    "AIRFLOW__LOGGING__UVICORN_LOGGING_LEVEL": "WARNING",
    # After a kill: soon adopt what the dead one left.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    # By default 30: a scheduler that starts again sooner would wait for its own ghost.
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    # With ten times more work than cores, heartbeats of healthy tasks came 80 s late, and with 30 s
    # here Airflow killed and repeated them. What dies with its scheduler waits less: the next
    # scheduler takes it over.
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "180",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    # The whole gap between two tasks is this sleep.
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    # A minute of patience: the first tasks may be there before the api-server is.
    "AIRFLOW__WORKERS__EXECUTION_API_RETRIES": "40",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MAX": "2",
    "AIRFLOW__WORKERS__EXECUTION_API_RETRY_WAIT_MIN": "0.5",
    "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": "30",
    "AIRFLOW__WORKERS__MAX_FAILED_HEARTBEATS": "10",
    # By default 5: a deferred task that resumes at once would be failed (apache/airflow#72716).
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}


@dataclass(frozen=True, slots=True)
class Airflow:
    """
    Airflow on *port*, its metadata in a SQLite file of *folder*.

    Args:
        connections: What its tasks get in their environment: connections and where state lives.
        pools: The slots of each pool.
        secret: Gives the generated secret of a name.
        log: Gives the log of a process.
        host: The address to listen on.
        advertised_host: The address that tasks and browsers are told.
    """

    folder: Path
    port: int
    log: Callable[[str], Path]
    secret: Callable[[str], str] = field(repr=False)
    connections: Mapping[str, str] = field(repr=False)
    pools: Mapping[str, int]
    host: str = ports.LOOPBACK
    advertised_host: str = ports.LOOPBACK

    @property
    def url(self) -> str:
        """The page for a browser."""
        return f"http://{self.advertised_host}:{self.port}"

    @property
    def password(self) -> str:
        """The administrator's password."""
        return self.secret("airflow.password")

    def prepare(self) -> None:
        """Write the administrator's password; migrate the database and make the pools."""
        self.write_password()
        airflow_database.prepare(self._database, self.pools)

    def set_pools(self) -> None:
        """Make the pools, also while it runs."""
        airflow_database.set_pools(self._database, self.pools)

    def write_password(self) -> None:
        """Write the administrator's password where Airflow looks for it."""
        write_private(self._passwords_file, json.dumps({USER: self.password}))

    def commands(self) -> Mapping[str, Command]:
        """Four processes; the api-server first, it answers for all."""
        return {f"airflow-{name}": self.command(name, words) for name, words in COMPONENTS.items()}

    def is_ready(self) -> bool:
        """Ask the api-server whether all parts are healthy."""
        return ports.answers(self.port) and self.are_healthy(PARTS)

    def are_healthy(self, parts: Collection[str]) -> bool:
        """Ask the api-server whether these parts have shown signs of life lately."""
        told = health.airflow_parts(self.advertised_host, self.port)
        return all(told.get(part, {}).get("status") == "healthy" for part in parts)

    def environment(self) -> dict[str, str]:
        """What all four processes, and so the tasks, get in their environment."""
        return {
            **SETTINGS,
            **self.connections,
            **self.for_commands(),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__HOST": self.host,
            "AIRFLOW__API__PORT": str(self.port),
            "AIRFLOW__API__SECRET_KEY": self.secret("airflow.secret_key"),
            "AIRFLOW__API_AUTH__JWT_SECRET": self.secret("airflow.jwt_secret"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(layout.checkout() / "dags"),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(layout.checkout() / "plugins"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self._passwords_file),
            "NO_PROXY": _no_proxy(os.environ),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }

    def for_commands(self) -> dict[str, str]:
        """What the command `airflow` needs in its environment to work on this database."""
        return {
            "AIRFLOW_HOME": str(self.folder),
            "AIRFLOW__CORE__FERNET_KEY": _fernet_key(self.secret("airflow.fernet_key")),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}",
        }

    @property
    def _database(self) -> Path:
        return self.folder / _DATABASE

    @property
    def _passwords_file(self) -> Path:
        return self.folder / "passwords.json"

    def command(self, name: str, words: tuple[str, ...]) -> Command:
        """Describe one process of it: `airflow` with these words."""
        argv = (layout.program("airflow"), *words)
        log = self.log(f"airflow-{name}")
        # In the project's folder: relative paths in pipeline files are found from there.
        return Command(argv, folder=layout.checkout(), log=log, env=self.environment())


def task_states(home: Path) -> dict[str, int]:
    """Count the tasks of a home's Airflow by their state; empty if it has no database yet."""
    return airflow_database.task_states(home / _FOLDER / _DATABASE)


def build(setting: Setting, connections: Mapping[str, str], pools: Mapping[str, int]) -> Airflow:
    """Describe the Airflow of a home."""
    return Airflow(
        folder=setting.home / _FOLDER,
        port=setting.ports["api"],
        log=setting.log,
        secret=setting.secret,
        connections=connections,
        pools=pools,
    )


def kind(connections: Callable[[], Mapping[str, str]], pools: Mapping[str, int]) -> Kind:
    """Describe how to build Airflow; *connections* is called once all servers have their ports."""
    return Kind(
        "airflow",
        ports={"api": 1},
        deadline_seconds=600,
        build=lambda setting: build(setting, connections(), pools),
        refresh=lambda setting: build(setting, {}, pools).set_pools(),
    )


def _fernet_key(secret: str) -> str:
    """Turn a secret into the form that Fernet wants: 32 bytes in base64."""
    return base64.urlsafe_b64encode(secret.encode()[:32].ljust(32, b"-")).decode()


def _no_proxy(environ: Mapping[str, str]) -> str:
    """Keep loopback off any proxy that the machine has: tasks call the api-server by HTTP."""
    kept = environ.get("NO_PROXY") or environ.get("no_proxy") or ""
    return ",".join(dict.fromkeys([*filter(None, kept.split(",")), ports.LOOPBACK, "localhost"]))
