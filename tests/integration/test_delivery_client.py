from __future__ import annotations

import itertools
import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fixtures.certificates import make_certificates
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import FtpSite
from fixtures.odd_ftp import odd_server
from fixtures.scripted_ftp import Answer, scripted_ftp
from pydantic import SecretStr

from frameferry.config.connections import FtpConnection
from frameferry.delivery.renaming import RenameGroup, Staged
from frameferry.errors import (
    ConnectionMissing,
    DeliveryRefused,
    FrameferryError,
    FtpCrowded,
    FtpUnavailable,
    LoginRefused,
    UnsafePath,
)
from frameferry.ftp.client import FerryFTP, connect
from frameferry.ftp.listing import list_tree, read_sha256
from frameferry.ftp.measuring import is_gone, measure
from frameferry.ftp.transfers import _end_data, _send_whole


@pytest.fixture
def ftp(server: FtpSite) -> Iterator[FerryFTP]:
    ftp = connect(server.connection())
    yield ftp
    ftp.farewell()


def drip() -> Iterator[bytes]:
    """Say something so seldom that no single read times out, and never an end of it."""
    for _ in range(100):
        time.sleep(0.05)
        yield b"x"


def read_of(path: str) -> Callable[[FerryFTP], object]:
    return lambda ftp: read_sha256(ftp, path)


def endless_lines() -> Iterator[bytes]:
    yield from itertools.repeat(b"211-and so on, and on\r\n", 100_000)


@pytest.mark.parametrize("host", ["a..b", "x" * 300])
def test_a_host_that_cannot_be_one_is_told_from_a_server_that_is_not_there(host: str) -> None:
    with pytest.raises(ConnectionMissing, match=r"archive_ftp.*is not a host name"):
        connect(FtpConnection(conn_id="archive_ftp", host=host))


# What a server may answer to SIZE, and none of it is an answer.
NONSENSE = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "no code": b"hello\r\n",
    "an unknown code": b"999 what\r\n",
    "a code without words between": b"2130\r\n",
    "a number without an end": b"213 " + b"9" * 8000 + b"\r\n",
    "binary": bytes(range(256)) + b"\r\n",
    "a line without an end": b"213 " + b"1" * 100_000,
    "lines without an end": endless_lines,
    "a drip": drip,
    "another reply's middle": b" 213 7\r\n",
}


@pytest.mark.parametrize("nonsense", NONSENSE.values(), ids=NONSENSE.keys())
def test_nonsense_ends_in_an_error_of_ours_and_in_time(nonsense: Answer) -> None:
    with scripted_ftp({b"SIZE": nonsense}) as (connection, _):
        ftp = connect(connection)
        started = time.monotonic()
        with pytest.raises(FtpUnavailable):
            measure(ftp, "/x")
        assert time.monotonic() - started < 2
        ftp.poison()


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        (b"421 Too many connections, try later\r\n", FtpCrowded),
        (b"530 Too many users\r\n", FtpCrowded),
        (b"450 in a moment\r\n", FtpUnavailable),
        (b"", FtpUnavailable),
        (b"HTTP/1.1 400 Bad Request\r\n", FtpUnavailable),
        (b"554 go away\r\n", DeliveryRefused),
    ],
)
def test_a_greeting_that_is_none(
    greeting: bytes, error: type[FtpUnavailable | DeliveryRefused]
) -> None:
    with scripted_ftp(greeting=greeting) as (connection, log), pytest.raises(error):
        connect(connection)
    assert log == []


@pytest.mark.parametrize(
    ("nonsense", "words"),
    [(b"213 " + b"1" * 100_000, "line of over 8192 bytes"), (endless_lines, "without an end")],
)
def test_a_reply_is_given_up_by_its_length_before_it_fills_the_memory(
    nonsense: Answer, words: str
) -> None:
    with scripted_ftp({b"SIZE": nonsense}) as (connection, _):
        ftp = connect(connection.model_copy(update={"timeout_seconds": 10}))
        with pytest.raises(FtpUnavailable, match=words):
            ftp.ask("SIZE", "/x")
        ftp.poison()


def test_a_slow_greeting_is_waited_for() -> None:
    with scripted_ftp(greeting=b"120 in a minute\r\n220 here I am\r\n") as (connection, _):
        ftp = connect(connection)
        assert ftp.welcome == "220 here I am"
        ftp.poison()


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"530 Login incorrect.\r\n", LoginRefused),
        (b"430 Invalid username or password\r\n", LoginRefused),
        (b"501 what?\r\n", LoginRefused),
        (b"530 Sorry, the maximum number of clients is connected.\r\n", FtpCrowded),
        (b"421 Too many\r\n", FtpCrowded),
        (b"530 Non-anonymous sessions must use encryption.\r\n", DeliveryRefused),
        (b"332 Need account\r\n", LoginRefused),
        (b"421 Sorry, cleartext sessions are not accepted on this server.\r\n", DeliveryRefused),
        (b"500 OOPS: vsftpd: refusing to run with writable root\r\n", DeliveryRefused),
    ],
)
def test_a_refused_login_is_told_from_a_crowd_and_sent_once(
    reply: bytes, error: type[FtpUnavailable | DeliveryRefused]
) -> None:
    with (
        scripted_ftp({b"PASS": reply}) as (connection, log),
        pytest.raises(FrameferryError) as caught,
    ):
        connect(connection)
    assert error is type(caught.value)
    assert sum(line.startswith("PASS") for line in log) == 1


@pytest.mark.parametrize(
    ("reply", "is_plain"), [(b"530 Login incorrect.\r\n", True), (b"501 what?\r\n", False)]
)
def test_a_refusal_without_a_word_of_user_or_password_leaves_a_doubt(
    reply: bytes, is_plain: bool
) -> None:
    with scripted_ftp({b"PASS": reply}) as (connection, _), pytest.raises(LoginRefused) as caught:
        connect(connection)
    assert is_plain == caught.value.is_plain


def test_words_in_another_encoding_are_read() -> None:
    with scripted_ftp({b"SIZE": "550 déjà là\r\n".encode("latin-1")}) as (connection, _):
        ftp = connect(connection)
        assert ftp.ask("SIZE", "/x").text == "550 d\ufffdj\ufffd l\ufffd"
        ftp.poison()


@pytest.mark.parametrize(
    "argument", ["/x\r\nDELE /y", "/x\nDELE /y", "/x\0y", "/x\x7fy", "/x\x85y", "/x\ud800"]
)
def test_no_second_command_hides_in_a_path(server: FtpSite, argument: str) -> None:
    with FaultProxy(server) as proxy:
        ftp = connect(server.connection(port=proxy.port))
        for verb in ("SIZE", "STOR", "RNFR", "MKD", "XYZ"):
            with pytest.raises(UnsafePath):
                ftp.ask(verb, argument)
        with pytest.raises(UnsafePath):
            ftp.delete(argument)
        assert ftp.ask("NOOP").is_success
        assert {"DELE", "SIZE", "STOR", "RNFR", "XYZ"}.isdisjoint(verb for verb, _ in proxy.log)
        ftp.farewell()


def test_a_password_with_a_line_end_is_not_sent_and_not_shown(server: FtpSite) -> None:
    with FaultProxy(server) as proxy:
        with pytest.raises(UnsafePath) as caught:
            connect(server.connection(port=proxy.port, password="secret\r\nDELE x"))
        assert "secret" not in repr(caught.value) + str(caught.value)
        assert proxy.verbs("PASS") == []


def test_a_confined_connection_sends_no_path_outside_its_base(ftp: FerryFTP) -> None:
    ftp.confine("/press-a")
    for path in ("/press-b/x", "/press-a/../x", "x", "/press-a2/x", "/"):
        for verb in ("STOR", "SIZE", "DELE", "RNFR", "RNTO", "RETR", "HASH"):
            with pytest.raises(UnsafePath):
                ftp.ask(verb, path)
    assert ftp.ask("MKD", "/press-a").code in {257, 550}
    assert ftp.is_in_step


def test_an_abandoned_burst_leaves_the_connection_out_of_step(ftp: FerryFTP) -> None:
    replies = ftp.burst(["NOOP", "NOOP"])
    next(replies)
    assert not ftp.is_in_step
    next(replies)
    assert ftp.is_in_step


def test_a_poisoned_connection_is_of_no_use_and_says_so(server: FtpSite) -> None:
    ftp = connect(server.connection())
    ftp.poison()
    ftp.poison()
    ftp.farewell()
    assert not ftp.is_in_step
    with pytest.raises(FtpUnavailable, match="closed"):
        ftp.ask("NOOP")


@pytest.mark.parametrize(
    "echo",
    [
        b"500 'PASS s3cr3t': command not understood.\r\n",
        b"PASS s3cr3t\r\n",
        b"230-you said s3cr3t\r\n",
        b"530-You said\r\n s3cr3t\r\n530 incorrect\r\n",
    ],
)
def test_a_server_that_repeats_the_password_makes_no_error_show_it(echo: bytes) -> None:
    with scripted_ftp({b"PASS": echo}) as (connection, log):
        secretive = connection.model_copy(update={"password": SecretStr("s3cr3t")})
        with pytest.raises(FrameferryError) as caught:
            connect(secretive)
    assert "PASS s3cr3t" in log
    shown = "".join(traceback.format_exception(caught.value))
    assert "s3cr3t" not in shown.replace(repr(echo), "")


def breaking_off() -> dict[bytes, Answer]:
    """A server that shows the beginning of what it is asked for, and then fails."""
    doors: list[socket.socket] = []

    def offer() -> Iterator[bytes]:
        doors.append(socket.create_server(("127.0.0.1", 0)))
        yield b"229 (|||%d|)\r\n" % doors[-1].getsockname()[1]

    def show() -> Iterator[bytes]:
        yield b"150 here it comes\r\n"
        with doors.pop() as door, door.accept()[0] as channel:
            channel.sendall(b"type=file;size=3; 0-1.jpg\r\n")
        yield b"451 Error while reading: Input/output error\r\n"

    features = b"211-F\r\n MLST size*;type*;\r\n211 end\r\n"
    return {b"FEAT": features, b"EPSV": offer, b"MLSD": show, b"RETR": show, b"CWD": b"250 ok\r\n"}


@pytest.mark.parametrize("read", [lambda ftp: list(list_tree(ftp, "/b")), read_of("/b/0-1.jpg")])
def test_what_a_server_breaks_off_is_not_taken_for_whole(
    read: Callable[[FerryFTP], object],
) -> None:
    with scripted_ftp(breaking_off()) as (connection, _):
        ftp = connect(connection)
        with pytest.raises(FtpUnavailable, match="broke off: '451 Error while reading"):
            read(ftp)
        ftp.poison()


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_slow_reader_is_waited_for_as_long_as_it_reads(tmp_path: Path, encrypted: bool) -> None:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32_768)
    ca, certificate = make_certificates(tmp_path)
    came: list[int] = []

    def read_slowly(end: socket.socket) -> None:
        if encrypted:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            end = context.wrap_socket(end, server_side=True)
        with end:
            while data := end.recv(100_000):
                came.append(len(data))
                time.sleep(len(data) / 1e6)

    thread = threading.Thread(target=read_slowly, args=(theirs,))
    thread.start()
    if encrypted:
        trusting = ssl.create_default_context(cafile=str(ca))
        ours = trusting.wrap_socket(ours, server_hostname="127.0.0.1")
    ours.settimeout(0.3)
    started = time.monotonic()
    _send_whole(ours, bytes(1 << 20))
    assert time.monotonic() - started > 0.6
    _end_data(ours)
    thread.join()
    assert 1 << 20 == sum(came)


def test_a_farewell_to_a_mute_server_takes_no_longer_than_its_time(server: FtpSite) -> None:
    with FaultProxy(server, Fault("QUIT", "hang")) as proxy:
        ftp = connect(server.connection(port=proxy.port))
        ftp.seconds = 1
        started = time.monotonic()
        ftp.farewell()
        assert time.monotonic() - started < 2


def test_a_silent_connection_is_asked_before_it_is_trusted(
    server: FtpSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frameferry.ftp.client.IDLE_SECONDS", -1.0)
    monkeypatch.setattr("frameferry.ftp.transfers.QUIT_SECONDS", 0.2)
    with FaultProxy(server, Fault("NOOP", "hang", nth=2)) as proxy:
        ftp = connect(server.connection(port=proxy.port))
        assert not ftp.is_stale()
        assert ftp.is_stale()
        ftp.poison()


def test_small_writes_do_not_wait_and_dead_peers_are_noticed(
    ftp: FerryFTP, server: FtpSite
) -> None:
    assert ftp.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert ftp.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert ftp.sock.gettimeout() == server.seconds


def test_data_goes_where_we_connected_whatever_the_server_says() -> None:
    replies = {b"EPSV": b"500 no\r\n", b"PASV": b"227 (10,9,8,7,1,2)\r\n", b"STOR": b"550 no\r\n"}
    with scripted_ftp(replies) as (connection, _):
        ftp = connect(connection)
        assert ftp.makepasv() == ("127.0.0.1", 258)
        ftp.poison()


@pytest.mark.parametrize(
    "address",
    [
        b"229 (|||99999|)\r\n",
        b"229 (|||0|)\r\n",
        b"229 (|||x|)\r\n",
        b"229 nowhere\r\n",
        b"200 (|||21|)\r\n",
        b"425 no\r\n",
        b"550 no\r\n",
    ],
)
def test_an_address_that_is_none_is_an_error_of_ours(address: bytes) -> None:
    with scripted_ftp({b"EPSV": address}) as (connection, _):
        ftp = connect(connection)
        with pytest.raises(FtpUnavailable):
            ftp.store("/x", b"x")
        assert not ftp.is_in_step
        ftp.poison()


def test_epsv_is_asked_for_once_where_it_is_not_understood(tmp_path: Path) -> None:
    with odd_server(tmp_path, without=["EPSV"]) as host, FaultProxy(host) as proxy:
        ftp = connect(host.connection(port=proxy.port))
        for number in range(3):
            assert ftp.store(f"/{number}", b"x").is_success
        ftp.farewell()
        assert (len(proxy.verbs("EPSV")), len(proxy.verbs("PASV"))) == (1, 3)


# Answers that contradict each other.


def staged(number: int) -> Staged:
    return Staged(number, f"/press-a/.{number}.part", f"/press-a/{number}.jpg", "size")


def test_a_rename_that_went_through_without_its_source_stops_the_job() -> None:
    replies = {b"RNFR": b"550 no such file\r\n", b"RNTO": b"250 renamed\r\n"}
    with scripted_ftp(replies) as (connection, _):
        ftp = connect(connection)
        with pytest.raises(DeliveryRefused, match="renamed another file"):
            RenameGroup([staged(1), staged(2)], "/", "kept").rename(ftp)
        ftp.poison()


def test_a_part_is_gone_only_where_two_commands_say_so() -> None:
    replies = {b"SIZE": b"550 no such file\r\n", b"RNFR": b"350 and now?\r\n"}
    with scripted_ftp(replies) as (connection, _):
        ftp = connect(connection)
        with pytest.raises(FtpUnavailable, match="not there, and would rename it"):
            is_gone(ftp, "/press-a/.1.part")
        assert not ftp.is_in_step


def test_a_busy_server_has_not_said_that_a_part_is_gone() -> None:
    for verb in (b"SIZE", b"RNFR"):
        replies = {b"SIZE": b"550 no\r\n", b"RNFR": b"550 no\r\n", verb: b"450 busy\r\n"}
        with scripted_ftp(replies) as (connection, _):
            ftp = connect(connection)
            with pytest.raises(FtpUnavailable, match="450 busy"):
                is_gone(ftp, "/press-a/.1.part")
            ftp.poison()


def test_type_is_sent_once_for_many_files(server: FtpSite) -> None:
    with FaultProxy(server) as proxy:
        ftp = connect(server.connection(port=proxy.port))
        for number in range(5):
            ftp.store(f"/{number}.bin", b"x")
        ftp.farewell()
        assert proxy.verbs("TYPE") == ["I"]
