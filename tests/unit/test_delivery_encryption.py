from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from frameferry.config.connections import FtpConnection
from frameferry.errors import ConnectionMissing, DeliveryRefused, FtpUnavailable
from frameferry.ftp.encryption import tls_context, tls_failure


def connection(**fields: Any) -> FtpConnection:
    return FtpConnection(conn_id="archive_ftp", host="archive", **fields)


def test_certificates_are_verified_unless_told_otherwise() -> None:
    context = tls_context(connection(tls="explicit"))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert ssl.TLSVersion.TLSv1_2 == context.minimum_version


def test_verification_can_be_switched_off() -> None:
    context = tls_context(connection(tls="implicit", verify=False))
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_NONE, False)


def test_a_ca_file_that_is_not_there_names_connection_and_file(tmp_path: Path) -> None:
    with pytest.raises(ConnectionMissing, match=r"archive_ftp.*gone\.pem"):
        tls_context(connection(tls="explicit", ca_cert=str(tmp_path / "gone.pem")))


def test_a_ca_file_that_is_none_names_connection_and_file(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConnectionMissing, match=r"archive_ftp.*ca\.pem"):
        tls_context(connection(tls="explicit", ca_cert=str(tmp_path / "ca.pem")))


def test_a_broken_tls_connection_may_come_back() -> None:
    error = tls_failure(ssl.SSLEOFError(8, "EOF occurred"), "archive:21", "connect")
    assert isinstance(error, FtpUnavailable)


def test_a_server_without_tls_is_a_wrong_setting() -> None:
    error = ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number")
    error.reason = "WRONG_VERSION_NUMBER"
    assert isinstance(tls_failure(error, "archive:21", "connect"), DeliveryRefused)
