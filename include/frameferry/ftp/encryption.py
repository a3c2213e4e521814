"""TLS for FTP: the context a connection asks for, and what its failures mean."""

from __future__ import annotations

import ssl

from frameferry.config.connections import FtpConnection
from frameferry.errors import ConnectionMissing, DeliveryRefused, FtpUnavailable, Phase

_MISFITS = frozenset(
    {
        "WRONG_VERSION_NUMBER",
        "RECORD_LAYER_FAILURE",
        "UNSUPPORTED_PROTOCOL",
        "NO_PROTOCOLS_AVAILABLE",
        "TLSV1_ALERT_PROTOCOL_VERSION",
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
    }
)
_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def tls_context(connection: FtpConnection) -> ssl.SSLContext:
    """
    Make the context of all sockets of one connection: verifying by default.

    Raises:
        ConnectionMissing: The CA file cannot be read.
    """
    if connection.tls == "none":
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context = ssl.create_default_context(cafile=connection.ca_cert)
    except OSError as error:
        msg = f"connection {connection.conn_id!r}: the CA file {connection.ca_cert} is unreadable"
        raise ConnectionMissing(msg, remedy="Mend the connection's extra ca_cert") from error
    context.minimum_version = _VERSIONS[connection.tls_minimum]
    if not connection.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def tls_failure(error: ssl.SSLError, server: str, phase: Phase) -> FtpUnavailable | DeliveryRefused:
    """Tell a certificate or a setting that does not fit from a connection that broke."""
    if isinstance(error, ssl.SSLCertVerificationError):
        msg = f"the certificate of {server} is not trusted: {error.verify_message}"
        return DeliveryRefused(msg, remedy="Set the connection's extra ca_cert to the CA's file")
    reason = str(getattr(error, "reason", None) or error)
    if reason in _MISFITS:
        msg = f"{server} does not speak this kind of TLS: {reason}"
        return DeliveryRefused(
            msg, remedy="Set the connection's extra tls to none, explicit or implicit"
        )
    msg = f"TLS broke off: {reason}"
    return FtpUnavailable(msg, server=server, phase=phase)
