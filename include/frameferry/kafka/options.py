"""librdkafka's options in the words of Spark's Kafka source, which is Java."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from frameferry.config.connections import KafkaConnection
from frameferry.errors import ConfigError

_SAME: Final = ("bootstrap.servers", "client.id", "client.rack")
_SECURITY: Final = ("security.", "sasl.", "ssl.", "enable.ssl.", "enable.sasl.", "oauth")
_PROTOCOLS: Final = ("plaintext", "ssl")

Translation = Callable[[str], Mapping[str, str]]
_TRANSLATED: Final[Mapping[str, Translation]] = {
    "security.protocol": lambda value: {"security.protocol": value.upper()},
    "ssl.ca.location": lambda value: {
        "ssl.truststore.type": "PEM",
        "ssl.truststore.location": value,
    },
    "ssl.endpoint.identification.algorithm": lambda value: {
        "ssl.endpoint.identification.algorithm": "" if value == "none" else value
    },
}


def spark_options(connection: KafkaConnection) -> dict[str, str]:
    """
    Translate what it takes to reach the cluster; librdkafka's own tuning is left out.

    Nothing here is secret: PLAINTEXT and TLS with a CA file (which every executor must find at
    the same path) are translated. A password would show in Spark's event log and pages.

    Raises:
        ConfigError: The connection logs in, or sets another security option that has no
            translation yet: to leave it out would read with less protection than asked for.
    """
    options = {name: str(value) for name, value in connection.options.items()}
    _refuse_protocol(connection, options.get("security.protocol", "plaintext"))
    spark = {f"kafka.{name}": options[name] for name in _SAME if name in options}
    for name, value in sorted(options.items()):
        if not name.startswith(_SECURITY):
            continue
        if name not in _TRANSLATED:
            raise _refused(connection, f"option {name}")
        spark |= {f"kafka.{key}": text for key, text in _TRANSLATED[name](value).items()}
    return spark


def _refuse_protocol(connection: KafkaConnection, protocol: str) -> None:
    if protocol.lower() not in _PROTOCOLS:
        raise _refused(connection, f"security.protocol={protocol}")


def _refused(connection: KafkaConnection, what: str) -> ConfigError:
    msg = f"connection {connection.conn_id!r}: {what} cannot be handed to Spark yet"
    return ConfigError(
        msg,
        remedy="Offer a PLAINTEXT or SSL listener without log-in to Spark's executors, "
        "or set model: none",
    )
