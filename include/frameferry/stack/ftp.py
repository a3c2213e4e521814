"""An FTP server (pyftpdlib) as a process of its own: one user, its files in the home."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from frameferry.stack import health, layout, ports
from frameferry.stack.processes import Command
from frameferry.stack.servers import Kind, Setting
from frameferry.stack.state import write_private

USER = "ferry"
PASSIVE_PORTS = 64
ALL_PERMISSIONS = "elradfmwMT"


@dataclass(frozen=True, slots=True)
class FtpOptions:
    """
    How the server behaves; the defaults are what the demo runs, the others are for tests.

    Args:
        permissions: pyftpdlib's letters: `f` is renaming, `w` storing, `m` making folders.
        max_connections: Per client address; 0 is no limit. One more gets a 421.
        refusal_seconds: How long a wrong password waits for its 530.
        tls: `explicit` demands AUTH TLS and PROT P, `implicit` begins with TLS.
        certificate: A PEM file with the certificate and its key, for TLS.
        idle_seconds: After this long without a command the server says 421 and leaves.
    """

    permissions: str = ALL_PERMISSIONS
    max_connections: int = 0
    max_login_attempts: int = 3
    refusal_seconds: float = 1.0
    tls: Literal["none", "explicit", "implicit"] = "none"
    certificate: str | None = None
    idle_seconds: float = 300


@dataclass(frozen=True, slots=True)
class FtpServer:
    """
    A server on *port* that shows *root* to its one user.

    Args:
        host: The address to listen on.
    """

    root: Path
    config: Path
    log: Path
    port: int
    passive_first: int
    password: str = field(repr=False)
    user: str = USER
    host: str = ports.LOOPBACK
    options: FtpOptions = FtpOptions()

    def prepare(self) -> None:
        """Make the root; write the settings, which hold the password, for the owner's eyes only."""
        self.root.mkdir(parents=True, exist_ok=True)
        content = {
            "host": self.host,
            "port": self.port,
            "passive_ports": [self.passive_first, self.passive_first + PASSIVE_PORTS],
            "user": self.user,
            "password": self.password,
            "root": str(self.root),
            "options": asdict(self.options),
        }
        write_private(self.config, json.dumps(content, indent=2))

    def commands(self) -> Mapping[str, Command]:
        """One process."""
        return {"ftp": self.command()}

    def command(self) -> Command:
        """What runs the server."""
        argv = (layout.python(), "-m", "frameferry.stack.ftp_server", str(self.config))
        return Command(argv, folder=self.root.parent, log=self.log)

    def is_ready(self) -> bool:
        """Wait for its greeting; with TLS from the first byte on, for its port."""
        if self.options.tls == "implicit":
            return ports.answers(self.port)
        return health.ftp_greets(self.port)


def build(setting: Setting) -> FtpServer:
    """Describe the FTP server of a home."""
    return FtpServer(
        root=setting.home / "ftp",
        config=setting.home / "ftp.json",
        log=setting.log("ftp"),
        port=setting.ports["control"],
        passive_first=setting.ports["passive"],
        password=setting.secret("ftp.password"),
    )


_PORTS = {"control": 1, "passive": PASSIVE_PORTS}
KIND = Kind("ftp", ports=_PORTS, deadline_seconds=120, build=build)
