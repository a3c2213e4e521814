"""Run the FTP server in the foreground: `python -m frameferry.stack.ftp_server CONFIG`."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import FTPHandler
from pyftpdlib.servers import FTPServer

from frameferry.stack.ftp import FtpOptions

_USAGE = 2
_LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"


def make_server(config: dict[str, Any]) -> FTPServer:
    """Build the server; it listens from now on and answers once `serve_forever` runs."""
    options = FtpOptions(**config["options"])
    server = FTPServer((config["host"], config["port"]), _handler(config, options))
    server.max_cons_per_ip = options.max_connections
    return server


def main() -> int:
    """Serve until we are told to end."""
    if len(sys.argv) != _USAGE:
        sys.stderr.write("usage: python -m frameferry.stack.ftp_server CONFIG\n")
        return _USAGE
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT, stream=sys.stdout)
    config = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    make_server(config).serve_forever()
    return 0


def _handler(config: dict[str, Any], options: FtpOptions) -> type:
    authorizer = DummyAuthorizer()
    authorizer.add_user(
        config["user"], config["password"], homedir=config["root"], perm=options.permissions
    )
    settings = {
        "authorizer": authorizer,
        "passive_ports": range(*config["passive_ports"]),
        "max_login_attempts": options.max_login_attempts,
        "auth_failed_timeout": options.refusal_seconds,
        "timeout": options.idle_seconds,
        "banner": "Frameferry's embedded FTP server",
    }
    return type("Handler", (_base(options),), settings)


def _base(options: FtpOptions) -> type:
    if options.tls == "none":
        plain: type = FTPHandler
        return plain
    # Needs pyOpenSSL, which only the tests of TLS bring.
    from pyftpdlib.handlers import TLS_FTPHandler  # noqa: PLC0415

    class Explicit(TLS_FTPHandler):  # type: ignore[misc]
        """TLS by AUTH TLS, on both channels."""

        certfile = options.certificate
        tls_control_required = True
        tls_data_required = True

    class Implicit(Explicit):
        """TLS from the first byte on."""

        def handle(self) -> None:
            """Shake hands before the greeting."""
            self.secure_connection(self.ssl_context)
            super().handle()

    return Implicit if options.tls == "implicit" else Explicit


if __name__ == "__main__":
    sys.exit(main())
