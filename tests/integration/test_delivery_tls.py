from __future__ import annotations

import re
import socket
import ssl
import threading
from pathlib import Path

import pytest
from fixtures.ferrying import deliver, expected, items, publisher
from fixtures.ftp_site import FtpSite, Tls
from fixtures.odd_ftp import odd_server

from frameferry.config.connections import FtpConnection
from frameferry.errors import DeliveryRefused, FtpUnavailable, LoginRefused
from frameferry.ftp.client import connect

Certificates = tuple[Path, Path]


def test_files_arrive_over_tls_in_the_same_session_and_the_receipt_says_so(
    tls_server: FtpSite,
) -> None:
    made = items(20)
    with publisher(tls_server.connection()) as delivery:
        receipts = deliver(delivery, made)
    assert {tls_server.proof} == {receipt.how for receipt in receipts}
    assert expected(made) == tls_server.visible()
    assert tls_server.hidden() == []


def test_a_large_file_arrives_over_tls(tls_server: FtpSite) -> None:
    made = items(2, size_bytes=2 * (1 << 20) + 1, base="/press-a/big")
    with publisher(tls_server.connection(timeout_seconds=5)) as delivery:
        deliver(delivery, made)
    assert expected(made) == tls_server.visible()


@pytest.mark.parametrize(("least", "spoken"), [("1.2", "TLSv1."), ("1.3", "TLSv1.3")])
def test_the_least_version_of_tls_can_be_chosen(
    tls_server: FtpSite, least: str, spoken: str
) -> None:
    made = items(4)
    connection = tls_server.connection(tls_minimum=least)
    ftp = connect(connection)
    assert str(ftp.sock.version()).startswith(spoken)
    ftp.farewell()
    with publisher(connection) as delivery:
        deliver(delivery, made)
    assert expected(made) == tls_server.visible()


def test_a_burst_longer_than_a_servers_buffer_is_answered_to_its_end(tls_server: FtpSite) -> None:
    ftp = connect(tls_server.connection())
    questions = [f"SIZE /{'x' * 150}-{number}" for number in range(200)]
    assert {550} == {reply.code for reply in ftp.burst(questions)}
    assert ftp.is_in_step
    ftp.farewell()


def test_small_files_do_not_wait_for_acknowledgements_over_tls(tls_server: FtpSite) -> None:
    ftp = connect(tls_server.connection())
    channel = ftp._open_data(["STOR /x.bin"])
    assert channel.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert channel.session_reused or tls_server.kind == "pureftpd"
    ftp.poison()


def test_a_certificate_of_an_unknown_ca_is_refused_before_the_password(tls_server: FtpSite) -> None:
    with pytest.raises(DeliveryRefused, match=r"certificate of .* is not trusted") as caught:
        connect(tls_server.connection(ca_cert=None))
    assert "ca_cert" in caught.value.remedy


def test_a_certificate_for_another_name_is_refused(tls_server: FtpSite) -> None:
    with pytest.raises(DeliveryRefused, match=r"not valid for 'localhost'|Hostname mismatch"):
        connect(tls_server.connection(host="localhost"))


def test_verification_can_be_left_out(tls_server: FtpSite) -> None:
    with_no_proof = connect(tls_server.connection(verify=False, ca_cert=None))
    assert with_no_proof.is_protected
    with_no_proof.farewell()


def test_an_idle_tls_connection_is_not_taken_for_a_closed_one(tls_server: FtpSite) -> None:
    ftp = connect(tls_server.connection())
    assert not ftp.is_stale()
    assert ftp.ask("NOOP").is_success
    ftp.farewell()
    assert ftp.is_stale()


def test_a_server_that_wants_tls_is_not_a_wrong_password(tls_server: FtpSite) -> None:
    if tls_server.tls == "explicit":
        with pytest.raises(DeliveryRefused, match=r"(?i)\b(tls|ssl|encryption)\b") as caught:
            connect(tls_server.connection(tls="none"))
        assert "tls" in caught.value.remedy
    else:
        with pytest.raises(FtpUnavailable, match=r"no answer in time|closed"):
            connect(tls_server.connection(tls="none", timeout_seconds=0.2))


@pytest.mark.parametrize("speaks", ["explicit", "implicit"])
def test_the_other_kind_of_tls_is_refused_with_the_setting_to_change(
    tls_server: FtpSite, speaks: Tls
) -> None:
    if speaks == tls_server.tls:
        connect(tls_server.connection()).farewell()
    else:
        connection = tls_server.connection(tls=speaks, timeout_seconds=0.5)
        with pytest.raises((DeliveryRefused, FtpUnavailable), match=r"kind of TLS|in time|closed"):
            connect(connection)


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
