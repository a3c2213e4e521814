"""
One server in the foreground, for a container: the very commands that the embedded stack spawns.

`python -m frameferry.stack.service NAME` becomes that server; `frameferry.stack.health` asks it
whether it works. Addresses and secrets come from the environment:

    FRAMEFERRY_LISTEN           the address to listen on (127.0.0.1)
    FRAMEFERRY_ADVERTISE        the host name that clients are told (the same)
    FRAMEFERRY_SECRET_<NAME>    the secrets that the embedded stack would generate
    FRAMEFERRY_SERVER_PEM       the certificate of a secured Kafka, with its key
    FRAMEFERRY_SPARK_MASTER     the master of Spark's workers (none: Spark works alone)

All else that is set, such as connections and AIRFLOW__ settings, wins over our own values.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from frameferry.config.folder import load_all
from frameferry.config.home import home, pipelines_folder
from frameferry.config.pools import pool_slots
from frameferry.errors import FrameferryError, StackError
from frameferry.stack import airflow, ftp, kafka, layout, ports, spark
from frameferry.stack.airflow import Airflow
from frameferry.stack.kafka_secured import SecuredBroker
from frameferry.stack.processes import Command
from frameferry.stack.servers import Server, Setting
from frameferry.stack.spark_cluster import Master, Worker

_INIT_TIMEOUT_SECONDS = 600
_USAGE = 2


def main() -> int:
    """Become the server of this name, or check it."""
    match sys.argv[1:]:
        case [name] if name in SERVICES:
            return _told(SERVICES[name])
    sys.stderr.write(f"usage: python -m frameferry.stack.service {'|'.join(SERVICES)}\n")
    return _USAGE


def _told(serve: Callable[[], None]) -> int:
    try:
        serve()
    except FrameferryError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _listen() -> str:
    return os.environ.get("FRAMEFERRY_LISTEN", ports.LOOPBACK)


def _advertise() -> str:
    return os.environ.get("FRAMEFERRY_ADVERTISE") or _listen()


def _setting() -> Setting:
    return Setting(home(), ports.WELL_KNOWN, _secret)


def _secret(name: str) -> str:
    return _demanded(secret_variable(name))


def _demanded(variable: str) -> str:
    value = os.environ.get(variable)
    if not value:
        msg = f"{variable} is not set"
        raise StackError(msg, remedy="Set it, as in .env.example")
    return value


def secret_variable(name: str) -> str:
    """Name the variable of a secret: `ftp.password` is in FRAMEFERRY_SECRET_FTP_PASSWORD."""
    return f"FRAMEFERRY_SECRET_{name.upper().replace('.', '_')}"


def _kafka() -> kafka.Broker:
    return replace(kafka.build(_setting()), host=_listen(), advertised_host=_advertise())


def _secured_kafka() -> SecuredBroker:
    pem = Path(_demanded("FRAMEFERRY_SERVER_PEM"))
    return SecuredBroker(_kafka(), pem, _secret("kafka.password"))


def _spark() -> spark.ConnectServer:
    plain = replace(spark.build(_setting()), host=_listen(), advertised_host=_advertise())
    master = os.environ.get("FRAMEFERRY_SPARK_MASTER")
    return replace(plain, master=master) if master else plain


def _spark_master() -> Master:
    return Master(home() / "spark-master", Path(os.devnull), _advertise())


def _spark_worker() -> Worker:
    folder, master = home() / "spark-worker", _demanded("FRAMEFERRY_SPARK_MASTER")
    return Worker(folder, Path(os.devnull), master)


def _ftp() -> ftp.FtpServer:
    return replace(ftp.build(_setting()), host=_listen())


def _airflow() -> Airflow:
    described = airflow.build(_setting(), {}, {})
    return replace(described, host=_listen(), advertised_host=_advertise())


def _serve(server: Server) -> None:
    server.prepare()
    (command,) = server.commands().values()
    _become(command)


def _airflow_part(name: str) -> Callable[[], None]:
    return lambda: _become(_airflow().commands()[f"airflow-{name}"])


def _airflow_init() -> None:
    """Migrate Airflow's database, make the pools and the administrator's password; then end."""
    described = _airflow()
    described.write_password()
    whole, _ = load_all(pipelines_folder())
    _airflow_command(described, "db", "migrate")
    for name, slots in pool_slots(whole.values()).items():
        _airflow_command(described, "pools", "set", name, str(slots), "made by frameferry")


def _airflow_command(described: Airflow, *arguments: str) -> None:
    argv = [layout.program("airflow"), *arguments]
    env = {**described.environment(), **os.environ}
    done = subprocess.run(argv, env=env, timeout=_INIT_TIMEOUT_SECONDS, check=False)
    if done.returncode != 0:
        msg = f"airflow {' '.join(arguments[:2])} failed"
        raise StackError(msg, remedy="See what it said above")


def _become(command: Command) -> None:
    """Replace this process, so that signals and the exit code are the server's own."""
    command.folder.mkdir(parents=True, exist_ok=True)
    os.chdir(command.folder)
    os.execve(command.argv[0], command.argv, {**command.env, **os.environ})  # noqa: S606


SERVICES: dict[str, Callable[[], None]] = {
    "kafka": lambda: _serve(_kafka()),
    "kafka-secured": lambda: _serve(_secured_kafka()),
    "spark": lambda: _serve(_spark()),
    "spark-master": lambda: _serve(_spark_master()),
    "spark-worker": lambda: _serve(_spark_worker()),
    "ftp": lambda: _serve(_ftp()),
    "airflow-init": _airflow_init,
    **{f"airflow-{name}": _airflow_part(name) for name in airflow.COMPONENTS},
    "airflow-worker": lambda: _become(_airflow().command("worker", airflow.CELERY_WORKER)),
}


if __name__ == "__main__":
    sys.exit(main())
