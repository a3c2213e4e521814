from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fixtures.certificates import make_certificates
from fixtures.ferrying import deliver, expected, items, publisher
from fixtures.odd_ftp import OddServer, odd_server

from frameferry.config.connections import FtpConnection
from frameferry.delivery.client import connect
from frameferry.errors import DeliveryRefused, FtpUnavailable, LoginRefused

Certificates = tuple[Path, Path]
Host = tuple[OddServer, str]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["explicit", "implicit"])
def server(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificates: Certificates,
) -> Iterator[Host]:
    """A server that refuses data connections outside the control connection's TLS session."""
    root = tmp_path_factory.mktemp("ftps") / "root"
    with odd_server(
        root, tls=request.param, certificate=str(certificates[1]), reuse=True
    ) as server:
        yield server, request.param


def test_files_arrive_over_tls_in_the_same_session_and_the_receipt_says_so(
    server: Host, certificates: Certificates
) -> None:
    host, tls = server
    made = items(20)
    connection = host.connection(tls=tls, ca_cert=str(certificates[0]))
    with publisher(connection) as delivery:
        receipts = deliver(delivery, made)
    assert {"size+tls"} == {receipt.how for receipt in receipts}
    assert expected(made) == host.visible()


def test_a_large_file_arrives_over_tls(server: Host, certificates: Certificates) -> None:
    host, tls = server
    made = items(2, size_bytes=2 * (1 << 20) + 1, base="/press-a/big")
    connection = host.connection(tls=tls, ca_cert=str(certificates[0]), timeout_seconds=5)
    with publisher(connection) as delivery:
        deliver(delivery, made)
    assert expected(made).items() <= host.visible().items()


def test_a_certificate_of_an_unknown_ca_is_refused_before_the_password(server: Host) -> None:
    host, tls = server
    with pytest.raises(DeliveryRefused, match=r"certificate of .* is not trusted") as caught:
        connect(host.connection(tls=tls))
    assert "ca_cert" in caught.value.remedy


def test_a_certificate_for_another_name_is_refused(
    server: Host, certificates: Certificates
) -> None:
    host, tls = server
    with pytest.raises(DeliveryRefused, match=r"not valid for 'localhost'|Hostname mismatch"):
        connect(host.connection(tls=tls, ca_cert=str(certificates[0]), host="localhost"))


def test_verification_can_be_left_out(server: Host) -> None:
    host, tls = server
    with_no_proof = connect(host.connection(tls=tls, verify=False))
    assert with_no_proof.is_protected
    with_no_proof.farewell()


def test_an_idle_tls_connection_is_not_taken_for_a_closed_one(
    server: Host, certificates: Certificates
) -> None:
    host, tls = server
    ftp = connect(host.connection(tls=tls, ca_cert=str(certificates[0])))
    assert not ftp.is_stale()
    assert ftp.ask("NOOP").is_success
    ftp.farewell()
    assert ftp.is_stale()


def test_a_server_that_wants_tls_is_not_a_wrong_password(server: Host) -> None:
    host, tls = server
    if tls == "explicit":
        with pytest.raises(DeliveryRefused, match=r"SSL/TLS required|only over TLS") as caught:
            connect(host.connection())
        assert "tls" in caught.value.remedy
    else:
        with pytest.raises(FtpUnavailable, match="no answer in time"):
            connect(host.connection(timeout_seconds=0.2))


@pytest.mark.parametrize(
    ("tls", "words"), [("explicit", "offers no TLS"), ("implicit", "does not speak this kind")]
)
def test_a_server_without_tls_is_refused_with_the_setting_to_change(
    tmp_path: Path, tls: str, words: str
) -> None:
    with odd_server(tmp_path) as host, pytest.raises(DeliveryRefused, match=words) as caught:
        connect(host.connection(tls=tls, verify=False))
    assert re.search(r"extra tls", caught.value.remedy)


def test_what_was_said_in_the_clear_does_not_count_after_tls(certificates: Certificates) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates[1])
        plain, _ = listener.accept()
        plain.sendall(b"220 hello\r\n")
        plain.recv(100)
        plain.sendall(b"234 now TLS\r\n230 somebody between us logs you in\r\n")
        with context.wrap_socket(plain, server_side=True) as client:
            client.recv(100)
            client.sendall(b"530 Login incorrect.\r\n")
            client.recv(100)

    thread = threading.Thread(target=serve)
    thread.start()
    connection = FtpConnection(
        conn_id="between",
        host="127.0.0.1",
        port=listener.getsockname()[1],
        tls="explicit",
        ca_cert=str(certificates[0]),
        timeout_seconds=1,
    )
    with listener, pytest.raises(LoginRefused):
        connect(connection)
    thread.join(5)
