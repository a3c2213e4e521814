"""
Ask a server whether it works, by a question that only a working one answers.

`python -I -m frameferry.stack.health NAME` asks the one of this container. Containers are asked
every few seconds, for ever: so nothing is imported that the question does not need.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable

from frameferry.stack import ports

HEALTH_PATH = "/api/v2/monitor/health"
_ANSWER_SECONDS = 5
_GREETING_SECONDS = 2
_USAGE = 2


def main() -> int:
    """Ask the server of this name, on the port that it has in a container."""
    match sys.argv[1:]:
        case [name] if name in CHECKS:
            return 0 if CHECKS[name]() else 1
    sys.stderr.write(f"usage: python -m frameferry.stack.health {'|'.join(CHECKS)}\n")
    return _USAGE


def kafka_answers(port: int) -> bool:
    """Ask a broker for its cluster's metadata, without a log-in."""
    if not ports.answers(port):
        return False
    from confluent_kafka import KafkaException  # noqa: PLC0415 - 0.1 s that no other check needs
    from confluent_kafka.admin import AdminClient  # noqa: PLC0415

    client = AdminClient({"bootstrap.servers": f"{ports.LOOPBACK}:{port}", "log_level": 0})
    try:
        return bool(client.list_topics(timeout=_ANSWER_SECONDS).brokers)
    except KafkaException:
        return False


def ftp_greets(port: int) -> bool:
    """
    Wait for an FTP server's greeting and take leave.

    A connection that is merely dropped would count against its limit for a moment.
    """
    try:
        with socket.create_connection((ports.LOOPBACK, port), timeout=_GREETING_SECONDS) as probe:
            greeted = probe.recv(4096).startswith(b"220")
            probe.sendall(b"QUIT\r\n")
            while probe.recv(4096):
                continue
    except OSError:
        return False
    return greeted


def airflow_parts(host: str, port: int) -> dict[str, dict[str, str]]:
    """Ask the api-server which parts have shown signs of life lately; empty if it is silent."""
    import http.client  # noqa: PLC0415 - as above
    import json  # noqa: PLC0415

    connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", HEALTH_PATH)
        return dict(json.loads(connection.getresponse().read()))
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()


def _advertised() -> str:
    return os.environ.get("FRAMEFERRY_ADVERTISE") or ports.LOOPBACK


def _airflow(part: str) -> Callable[[], bool]:
    return lambda: (
        airflow_parts(_advertised(), ports.WELL_KNOWN["api"]).get(part, {}).get("status")
        == "healthy"
    )


CHECKS: dict[str, Callable[[], bool]] = {
    "kafka": lambda: kafka_answers(ports.WELL_KNOWN["broker"]),
    "kafka-secured": lambda: kafka_answers(ports.WELL_KNOWN["inside"]),
    "spark": lambda: ports.answers(ports.WELL_KNOWN["connect"]),
    "spark-master": lambda: ports.answers(ports.WELL_KNOWN["master"], host=_advertised()),
    "spark-worker": lambda: ports.answers(ports.WELL_KNOWN["worker"], host=socket.gethostname()),
    "ftp": lambda: ftp_greets(ports.WELL_KNOWN["control"]),
    "airflow-api-server": _airflow("metadatabase"),
    "airflow-scheduler": _airflow("scheduler"),
    "airflow-dag-processor": _airflow("dag_processor"),
    "airflow-triggerer": _airflow("triggerer"),
}


if __name__ == "__main__":
    sys.exit(main())
