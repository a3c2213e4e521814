"""Check that a Spark server listens: without one, a client would wait for minutes."""

from __future__ import annotations

import socket
from urllib.parse import SplitResult, urlsplit

from frameferry.config.connections import DEFAULT_SPARK_CONNECT_PORT
from frameferry.errors import SparkUnavailable

PROBE_SECONDS = 3.0
_DEFAULT_PORTS = {"sc": DEFAULT_SPARK_CONNECT_PORT, "spark": 7077}


def probe(url: str) -> None:
    """
    Connect and hang up.

    Do nothing for urls without a host of their own (`local[2]`, `yarn`, `k8s://…`). If there are
    several masters (`spark://one:7077,two:7077`), one that answers is enough.

    Raises:
        SparkUnavailable: Nobody answers; says how each of them failed.
    """
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _DEFAULT_PORTS:
        return
    refusals = []
    for place in rest.split(","):
        refusal = _refusal(urlsplit(f"//{place}"), _DEFAULT_PORTS[scheme])
        if refusal is None:
            return
        refusals.append(refusal)
    msg = f"nothing answers at {url} ({'; '.join(dict.fromkeys(refusals))})"
    remedy = (
        "Start Spark there, or mend the connection; what became of an embedded one is said by "
        "`frameferry stack status`"
    )
    raise SparkUnavailable(msg, remedy=remedy)


def _refusal(place: SplitResult, default_port: int) -> str | None:
    try:
        address = (place.hostname or "localhost", place.port or default_port)
        socket.create_connection(address, timeout=PROBE_SECONDS).close()
    except (OSError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return None
