"""Check that a Spark server listens: without one, a client would wait for minutes."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from xml.etree import ElementTree as ET

from frameferry.config.connections import DEFAULT_SPARK_CONNECT_PORT
from frameferry.errors import ConfigError, SparkUnavailable

PROBE_SECONDS = 3.0
_DEFAULT_PORTS = {"sc": DEFAULT_SPARK_CONNECT_PORT, "spark": 7077}
_MANAGER_PORT = 8032
_MANAGER = "yarn.resourcemanager"


def probe(url: str) -> None:
    """
    Connect and hang up.

    Where `yarn` is, Hadoop's settings say. Do nothing for `local[2]` and `k8s://…`. If there are
    several masters (`spark://one:7077,two:7077`), one that answers is enough.

    Raises:
        SparkUnavailable: Nobody answers; says how each of them failed.
        ConfigError: It is YARN, and nothing says where that is.
    """
    if url == "yarn":
        places = yarn_managers(os.environ)
        _probe(f"the resource manager of yarn, {','.join(places)}", places, _MANAGER_PORT)
    scheme, found, rest = url.partition("://")
    if not found or scheme not in _DEFAULT_PORTS:
        return
    _probe(url, rest.split(","), _DEFAULT_PORTS[scheme])


def yarn_managers(environment: Mapping[str, str]) -> list[str]:
    """
    Read where YARN's resource managers are, as Spark does: `host` or `host:port` of each.

    Raises:
        ConfigError: No folder of Hadoop's settings is named, or what is there cannot be read.
    """
    folder = environment.get("HADOOP_CONF_DIR") or environment.get("YARN_CONF_DIR")
    if not folder:
        msg = "nothing says where YARN is: neither HADOOP_CONF_DIR nor YARN_CONF_DIR is set"
        raise ConfigError(msg, remedy="Set HADOOP_CONF_DIR to the folder of its yarn-site.xml")
    file = Path(folder) / "yarn-site.xml"
    try:
        properties = ET.parse(file).getroot().iter("property")  # noqa: S314 - our own machine's
    except (OSError, ET.ParseError) as error:
        msg = f"HADOOP_CONF_DIR: {file} cannot be read: {error}"
        raise ConfigError(msg, remedy="Copy the cluster's own settings there") from error
    found = {one.findtext("name", ""): one.findtext("value", "") for one in properties}
    names = [f".{name}" for name in found.get(f"{_MANAGER}.ha.rm-ids", "").split(",") if name]
    return [
        found.get(f"{_MANAGER}.address{name}")
        or found.get(f"{_MANAGER}.hostname{name}", "localhost")
        for name in names or [""]
    ]


def _probe(url: str, places: Sequence[str], default_port: int) -> None:
    refusals = []
    for place in places:
        refusal = _refusal(urlsplit(f"//{place.strip()}"), default_port)
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
