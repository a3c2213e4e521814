"""Servers that answer anything at all: no hang, no crash, no escape, no command but ours."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import repeat

import pytest
from fixtures.ferrying import items, publisher
from fixtures.scripted_ftp import Answer, scripted_ftp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from frameferry.config.connections import FtpConnection
from frameferry.delivery.rounds import RetryPolicy
from frameferry.delivery.sweeping import delete_parts, find_parts
from frameferry.domain.records import Intent
from frameferry.errors import FrameferryError, UnsafePath
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.paths import has_control_character, is_within

BASE = "/press-a"
ONCE_MORE = RetryPolicy(tries=2, first_seconds=0.001, most_seconds=0.01, budget_seconds=2)
LONGEST_SECONDS = 20.0
"""Far above what the time-outs of 0.1 s add up to, on a busy machine too."""
OURS = re.compile(
    r"(USER|PASS|FEAT|TYPE|OPTS|EPSV|PASV|MKD|STOR|SIZE|MLST|MLSD|LIST|RETR|RNFR|RNTO|DELE|CWD"
    r"|HASH|XSHA256|QUIT|NOOP)( .*)?"
)
PATH_VERBS = ("STOR", "SIZE", "MLST", "MLSD", "RETR", "RNFR", "RNTO", "DELE", "HASH", "XSHA256")

codes = st.integers(0, 999).map(lambda code: f"{code:03d}")
texts = st.text(st.characters(codec="utf-8"), max_size=30).map(lambda text: text.encode())
right_answers = st.sampled_from(
    [
        *(b"200 ok\r\n", b"226 done\r\n", b"250 ok\r\n", b'257 "/x" made\r\n', b"350 go on\r\n"),
        *(b"213 20000\r\n", b"213 7\r\n", b"150 here it comes\r\n", b"550 no\r\n", b"553 no\r\n"),
        *(b"421 bye\r\n", b"425 no data\r\n", b"450 busy\r\n", b"451 full\r\n", b"452 full\r\n"),
        *(
            b"500 what\r\n",
            b"502 no\r\n",
            b"503 order\r\n",
            b"522 tls\r\n",
            b"530 who\r\n",
            b"552 quota\r\n",
        ),
        b"229 ok (|||DATA|)\r\n",
        b"227 ok (127,0,0,1,DATAHIGH,DATALOW)\r\n",
    ]
)
wrong_answers = st.one_of(
    st.sampled_from(
        [
            *(b"", b"\r\n", b"\n", b"2\r\n", b"20\r\n", b"200\r\n", b"200-\r\n", b"abc def\r\n"),
            *(
                b"\0\0\0\r\n",
                b"\xff\xfe\r\n",
                b"200 a\0b\r\n",
                b"200 ok\n",
                b"200 ok\r",
                b" 200 ok\r\n",
            ),
            b"200 ok\r\n200 ok\r\n200 ok\r\n",
            b"250-one\r\n250-two\r\n",
            b"250-one\r\n 250 two\r\n250 three\r\n",
            b"213 -1\r\n",
            b"213 99999999999999999999999\r\n",
            b"213 20000 or so\r\n",
            b"213 \xd9\xa2\r\n",
            b"229 ok (|||0|)\r\n",
            b"229 ok (|||99999|)\r\n",
            b"229 ok (||||)\r\n",
            b"227 ok (10,0,0,1,255,255)\r\n",
            b"227 ok (1,2,3)\r\n",
            b"x" * 100_000 + b"\r\n",
            b"211-" + b"y" * 5000 + b"\r\n" * 2000,
        ]
    ),
    st.builds(lambda code, text: f"{code} ".encode() + text + b"\r\n", codes, texts),
    st.builds(lambda code, text: f"{code}-".encode() + text + b"\r\n", codes, texts),
    st.binary(max_size=60),
)
answers = st.one_of(right_answers, wrong_answers)
VERBS = [b"MKD ", b"STOR", b"SIZE", b"RNFR", b"RNTO", b"DELE", b"EPSV", b"PASV", b"CWD ", b"MLST"]
GOOD: dict[bytes, Answer] = {
    b"MKD ": b"257 made\r\n",
    b"CWD ": b"250 ok\r\n",
    b"EPSV": b"229 ok (|||DATA|)\r\n",
    b"PASV": b"227 ok (127,0,0,1,DATAHIGH,DATALOW)\r\n",
    b"STOR": b"150 go on\r\n226 done\r\n",
    b"SIZE": b"213 20000\r\n",
    b"RNFR": b"350 go on\r\n",
    b"RNTO": b"250 ok\r\n",
    b"DELE": b"250 ok\r\n",
}
oddities = st.dictionaries(
    st.sampled_from([*VERBS, b"MLSD", b"LIST", b"RETR"]), answers, max_size=5
)
servers = oddities.map(lambda odd: GOOD | odd)
"""A good server with a few oddities gets further than one that knows nothing."""
doors = st.dictionaries(
    st.sampled_from([b"USER", b"PASS", b"FEAT", b"TYPE", b"OPTS"]), answers, max_size=5
)
listings = st.lists(
    st.one_of(
        st.binary(max_size=80),
        st.sampled_from(
            [
                b"type=file;size=1; ../../.x.e-1-1-1.part",
                b"type=file;size=1; .x\r\nDELE victim.e-1-1-1.part",
                b"type=file;size=1; .x.e-1-1-1.part",
                b"-rw-r--r-- 1 a b 1 Nov 25 12:00 /etc/.x.e-1-1-1.part",
                b"-rw-r--r-- 1 a b 1 Nov 25 12:00 .x\0.e-1-1-1.part",
                b"-rw-r--r-- 1 a b 1 Nov 25 12:00 .x.e-1-1-1.part",
                b"..",
                b"z" * 20_000,
            ]
        ),
    ),
    max_size=6,
).map(b"\r\n".join)
bounded = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


@contextmanager
def fuzzed(
    replies: dict[bytes, Answer], data: bytes = b""
) -> Iterator[tuple[FtpConnection, list[str]]]:
    """A scripted server whose data port is real: it swallows what comes, and says *data*."""
    with sink(data) as port, scripted_ftp(aimed(replies, port)) as (connection, log):
        yield connection.model_copy(update={"timeout_seconds": 0.1}), log


@contextmanager
def sink(data: bytes) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, suppress(OSError):
                    client.settimeout(0.2)
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                    while client.recv(65536):
                        pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def aimed(replies: dict[bytes, Answer], port: int) -> dict[bytes, Answer]:
    """Put the data port into those replies that offer one."""
    marks = {b"DATAHIGH": port // 256, b"DATALOW": port % 256, b"DATA": port}
    return {verb: _aimed(answer, marks) for verb, answer in replies.items()}


def _aimed(answer: Answer, marks: dict[bytes, int]) -> Answer:
    if isinstance(answer, bytes):
        for mark, number in marks.items():
            answer = answer.replace(mark, str(number).encode())
    return answer


def assert_only_ours(log: list[str]) -> None:
    for line in log:
        assert OURS.fullmatch(line), line
        assert not has_control_character(line)
        verb, _, argument = line.partition(" ")
        if verb in PATH_VERBS:
            assert is_within(argument.strip('"'), BASE), line
            assert not {"", ".", ".."} & set(argument.strip('"').split("/")[1:])


@contextmanager
def in_time() -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < LONGEST_SECONDS


@bounded
@given(servers)
def test_a_delivery_to_a_server_of_any_manners_ends_in_order(replies: dict[bytes, Answer]) -> None:
    made = items(2)
    with fuzzed(replies) as (connection, log), in_time():
        with (
            suppress(FrameferryError),
            publisher(connection, connections=1, retry=ONCE_MORE) as delivery,
        ):
            staged = delivery.stage(made)
            assert 2 == len(staged.staged) + len(staged.refused)
            published = delivery.publish(staged.staged)
            assert len(staged.staged) == len(published.receipts) + len(published.refused)
        assert_only_ours(log)
    if b"213 20000" not in bytes(replies[b"SIZE"]) and b"MLST" not in replies:
        assert not any(line.startswith("RNTO") for line in log)


@bounded
@given(servers, st.sampled_from(["kept", "taken"]))
def test_settling_at_a_server_of_any_manners_concludes_nothing_from_noise(replies, after) -> None:
    part = f"{BASE}/.x.jpg.e-1-1-1.part"
    intent = Intent(7, f"{BASE}/x.jpg", part, 20_000, "ab" * 32)
    with fuzzed(replies) as (connection, log), in_time():
        with (
            suppress(FrameferryError),
            publisher(connection, connections=1, retry=ONCE_MORE, after=after) as delivery,
        ):
            settled = delivery.settle([intent])
            assert 1 == len(settled.receipts) + len(settled.resend) + len(settled.refused)
        assert_only_ours(log)


@bounded
@given(doors, st.one_of(answers, st.just(b"220 hello\r\n")))
def test_a_log_in_at_a_server_of_any_manners_ends_in_order(replies, greeting) -> None:
    with scripted_ftp(replies, greeting=greeting) as (connection, log), in_time():
        quick = connection.model_copy(update={"timeout_seconds": 0.1})
        with suppress(FrameferryError):
            publisher(quick, connections=1, retry=ONCE_MORE).__enter__().__exit__(None, None, None)
        assert_only_ours(log)
        assert sum(line.startswith("PASS") for line in log) <= 3


def listed(data: bytes, *, has_mlsd: bool) -> list[str]:
    """Let a server list *data*, delete what parts that shows, and return what it was told."""
    feat = b"211-F\r\n SIZE\r\n UTF8\r\n MLST size*;\r\n211 end\r\n" if has_mlsd else b"502 no\r\n"
    replies: dict[bytes, Answer] = {
        b"FEAT": feat,
        b"EPSV": b"229 ok (|||DATA|)\r\n",
        b"CWD ": b"250 ok\r\n",
        b"MLSD": b"150 here\r\n226 done\r\n",
        b"LIST": b"150 here\r\n226 done\r\n",
        b"DELE": b"250 ok\r\n",
    }
    with fuzzed(replies, data) as (connection, log), in_time():
        with (
            suppress(FrameferryError),
            publisher(connection, connections=1, retry=ONCE_MORE) as delivery,
            delivery.lent() as ftp,
        ):
            delete_parts(ftp, [part.path for part in find_parts(ftp, BASE, base=BASE)])
        return log


@bounded
@given(listings, st.booleans())
def test_no_listing_decides_where_we_delete(data: bytes, has_mlsd: bool) -> None:
    log = listed(data, has_mlsd=has_mlsd)
    assert_only_ours(log)
    for line in log:
        assert not line.startswith("DELE") or BASE == line.removeprefix("DELE ").rpartition("/")[0]


@pytest.mark.parametrize(
    "name",
    ["../.y.e-1-1-1.part", "a/.y.e-1-1-1.part", ".y\x01.e-1-1-1.part", "z" * 300 + ".e-1-1-1.part"],
)
def test_a_hostile_name_in_a_listing_does_not_keep_the_others_from_being_swept(name: str) -> None:
    lines = [f"type=file;size=1; {each}" for each in (name, ".x.e-1-1-1.part")]
    log = listed("\r\n".join([*lines, ""]).encode(), has_mlsd=True)
    assert [f"DELE {BASE}/.x.e-1-1-1.part"] == [line for line in log if line.startswith("DELE")]


@bounded
@given(
    st.sampled_from([*(verb.decode().strip() for verb in VERBS), "USER", "SITE", "NOOP"]),
    st.one_of(st.text(max_size=60), st.text(st.sampled_from("a/. \r\n\0\x85\u2028é"), max_size=9)),
)
def test_whatever_is_asked_is_one_line_below_the_base_or_nothing(verb: str, text: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(1)
        ftp = FerryFTP(FtpConnection(conn_id="x", host="h"))
        ftp.sock = ours
        ftp.confine(BASE)
        for argument in (text, f"{BASE}/{text}"):
            try:
                ftp.write_lines([f"{verb} {argument}"])
            except UnsafePath:
                continue
            line = theirs.recv(65536)
            assert f"{verb} {argument}\r\n".encode() == line
            assert 1 == len(line.splitlines())
            if verb in PATH_VERBS:
                assert is_within(argument.strip('"'), BASE)


def test_a_reply_without_an_end_is_given_up() -> None:
    def endless() -> Iterator[bytes]:
        yield from repeat(b"211-and on\r\n", 200_000)

    for verb in (b"MKD ", b"EPSV", b"FEAT"):
        with fuzzed({verb: endless}) as (connection, log), in_time():
            with (
                suppress(FrameferryError),
                publisher(connection, connections=1, retry=ONCE_MORE) as delivery,
            ):
                delivery.stage(items(1))
            assert_only_ours(log)
