"""A broker that lets in by password over TLS only, for the containers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from frameferry.stack import health, ports
from frameferry.stack.kafka import Broker
from frameferry.stack.processes import Command

USER = "ferry"
INSIDE_PORT = ports.WELL_KNOWN["inside"]
"""On loopback, without a log-in: the broker's own door to itself, and that of its health check."""
_LOG_IN = "org.apache.kafka.common.security.plain.PlainLoginModule"


@dataclass(frozen=True, slots=True)
class SecuredBroker:
    """
    *plain*, but clients log in as USER, by *password*, over TLS.

    Args:
        plain: The broker's folder, ports and hosts.
        server_pem: Its certificate with its key, as `frameferry.stack.certificates` makes it.
        password: Kafka knows it from its settings' file, which is its owner's alone.
    """

    plain: Broker
    server_pem: Path
    password: str = field(repr=False)

    def prepare(self) -> None:
        """As a plain broker's, with other settings."""
        self.plain.prepare_with(self.properties)

    def commands(self) -> Mapping[str, Command]:
        """One process."""
        return self.plain.commands()

    def is_ready(self) -> bool:
        """Ask by the door on loopback."""
        return health.kafka_answers(INSIDE_PORT)

    def properties(self, data: Path) -> dict[str, str | int]:
        """List the broker's settings, by Kafka's own names."""
        plain = self.plain
        inside = f"INSIDE://{ports.LOOPBACK}:{INSIDE_PORT}"
        return {
            **plain.properties(data),
            "listeners": f"SASL_SSL://{plain.host}:{plain.port},{inside},"
            f"CONTROLLER://{ports.LOOPBACK}:{plain.controller_port}",
            "advertised.listeners": f"SASL_SSL://{plain.advertised_host}:{plain.port},{inside}",
            "inter.broker.listener.name": "INSIDE",
            "listener.security.protocol.map": (
                "SASL_SSL:SASL_SSL,INSIDE:PLAINTEXT,CONTROLLER:PLAINTEXT"
            ),
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.server_pem),
            "sasl.enabled.mechanisms": "PLAIN",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": (
                f'{_LOG_IN} required user_{USER}="{self.password}";'
            ),
        }
