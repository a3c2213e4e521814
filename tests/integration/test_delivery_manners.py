"""What servers do when they are told to: limits, idle time-outs, no rename over a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from fixtures.ferrying import Watcher, deliver, expected, items, publisher
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import FtpSite
from fixtures.odd_ftp import odd_server
from fixtures.polling import poll
from fixtures.real_ftp import real_server
from fixtures.scripted_ftp import scripted_ftp

from frameferry.delivery.renaming import RenameGroup, Staged
from frameferry.delivery.rounds import RetryPolicy
from frameferry.errors import DeliveryRefused
from frameferry.ftp.client import connect

Manners = Callable[[str], AbstractContextManager[FtpSite]]
ONLY_ONCE = RetryPolicy(tries=1)

LINES: dict[str, dict[str, tuple[str, ...]]] = {
    "vsftpd": {
        "three at once": ("max_per_ip=3",),
        "one second idle": ("idle_session_timeout=1",),
    },
    "proftpd": {
        "three at once": ("MaxClients 3",),
        "one second idle": ("TimeoutIdle 1",),
        "keeps names": ("AllowOverwrite off",),
    },
    "pureftpd": {
        "three at once": ("--maxclientsperip=3",),
        "no renames": ("--norename",),
    },
}
ODD: dict[str, dict[str, object]] = {
    "three at once": {"max_connections": 3},
    "one second idle": {"idle_seconds": 1},
    "keeps names": {"keeps_names": True},
    "no renames": {"permissions": "elradwmMT"},
}


@pytest.fixture
def with_manners(server_kind: str, tmp_path: Path) -> Manners:
    """Start a server that has been told something, in its own words."""

    @contextmanager
    def start(manner: str) -> Iterator[FtpSite]:
        if server_kind == "pyftpdlib":
            with odd_server(tmp_path, **ODD[manner]) as site:
                yield site
        else:
            with real_server(server_kind, lines=LINES[server_kind][manner]) as site:
                yield site

    return start


def can(kind: str, manner: str) -> bool:
    return kind == "pyftpdlib" or manner in LINES[kind]


def test_a_pool_makes_do_with_the_places_that_a_server_has(with_manners: Manners) -> None:
    made = items(60)
    with with_manners("three at once") as server:
        with publisher(server.connection(), connections=16, retry=ONLY_ONCE) as delivery:
            deliver(delivery, made)
            assert 1 <= delivery.connections <= 3
            deliver(delivery, made)
        assert expected(made) == server.visible()
        assert server.hidden() == []


def test_a_connection_that_was_idle_too_long_is_replaced_uncounted(
    with_manners: Manners, server_kind: str
) -> None:
    if not can(server_kind, "one second idle"):
        # Pure-FTPd counts in minutes; what it would say is said by a proxy.
        with real_server(server_kind) as server, FaultProxy(server) as proxy:
            lose_idle(server, proxy)
        return
    made = items(4)
    with with_manners("one second idle") as server:
        with publisher(server.connection(), connections=1, retry=ONLY_ONCE) as delivery:
            deliver(delivery, made)
            idle = delivery._pool._idle[0]
            poll(idle.is_stale, "the server to say good-bye", seconds=10)
            deliver(delivery, made)
        assert expected(made) == server.visible()


def lose_idle(server: FtpSite, proxy: FaultProxy) -> None:
    made = items(4)
    connection = server.connection(port=proxy.port)
    with publisher(connection, connections=1, retry=ONLY_ONCE) as delivery:
        deliver(delivery, made)
        delivery._pool._idle[0].interrupt()
        deliver(delivery, made)
    assert len(proxy.verbs("PASS")) == 2
    assert expected(made) == server.visible()


@pytest.mark.ftp_kinds("pyftpdlib", "proftpd", "pureftpd")  # vsftpd always replaces
def test_a_rename_over_a_file_that_is_refused_is_told_and_the_old_file_stays(
    with_manners: Manners, server_kind: str
) -> None:
    manner = "keeps names" if can(server_kind, "keeps names") else "no renames"
    old, new = items(2, seed=1), items(2, seed=2)
    with with_manners(manner) as server:
        for consignment, data in old:
            path = server.root / consignment.remote_path[1:]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            path.parent.chmod(0o777)
        with (
            Watcher(server.root, expected(old)) as watcher,
            publisher(server.connection()) as delivery,
        ):
            staged = delivery.stage(new).staged
            with pytest.raises(DeliveryRefused, match=r"no rename replace|refuses a rename"):
                delivery.publish(staged)
            delivery.discard(staged)
        assert expected(old) == server.visible()
        assert watcher.missing == []


@pytest.mark.ftp_kinds("pyftpdlib", "proftpd")
def test_a_file_may_be_deleted_first_where_that_is_asked_for(with_manners: Manners) -> None:
    old, new = items(6, seed=1), items(6, seed=2)
    with with_manners("keeps names") as server:
        replacing = publisher(server.connection(), replace="delete_then_rename")
        with Watcher(server.root, expected(old), expected(new)) as watcher, replacing as delivery:
            deliver(delivery, old)
            assert len(deliver(delivery, new)) == 6
        assert expected(new) == server.visible()
        assert watcher.partial == []
        assert server.hidden() == []


@pytest.mark.ftp_kinds("pyftpdlib", "proftpd")
@pytest.mark.parametrize("action", ["421 Timeout", "451 Busy", "cut", "hang", "lose", "stall"])
def test_a_deletion_that_makes_way_may_fail_in_any_way(with_manners: Manners, action: str) -> None:
    old, new = items(4, seed=1), items(4, seed=2)
    of_a_picture = Fault("DELE", action, nth=3)  # the first two are of the probe's own files
    with with_manners("keeps names") as server:
        with publisher(server.connection()) as delivery:
            deliver(delivery, old)
        with (
            Watcher(server.root, expected(old), expected(new)) as watcher,
            FaultProxy(server, of_a_picture) as proxy,
        ):
            connection = server.connection(port=proxy.port, timeout_seconds=server.stall_seconds)
            replacing = publisher(connection, connections=1, replace="delete_then_rename")
            with replacing as delivery:
                assert len(deliver(delivery, new)) == 4
            assert "frameferry-probe" not in proxy.verbs("DELE")[2]
        assert expected(new) == server.visible()
        assert watcher.partial == []
        assert server.hidden() == []


# What is given away by a greeting, and what it leads to.


@pytest.mark.parametrize("pipelining", ["deep", "safe", "off"])
def test_each_way_of_pipelining_delivers_and_settles(server: FtpSite, pipelining: str) -> None:
    if server.kind == "pyftpdlib" and pipelining == "deep":
        pipelining = "auto"
    made = items(12)
    with publisher(server.connection(pipelining=pipelining), connections=2) as delivery:
        deliver(delivery, made)
        deliver(delivery, made)
    assert expected(made) == server.visible()
    assert server.hidden() == []


def test_the_greeting_decides_how_far_commands_run_ahead(server: FtpSite) -> None:
    ftp = connect(server.connection())
    assert ftp.depth == ("safe" if server.kind == "pyftpdlib" else "deep")
    ftp.farewell()


def test_a_server_that_does_not_bear_deep_pipelining_is_spared_it(tmp_path: Path) -> None:
    made = items(20)
    with odd_server(tmp_path) as server:
        connection = server.connection(pipelining="deep", timeout_seconds=1)
        with publisher(connection, connections=1) as delivery:
            deliver(delivery, made)
        assert expected(made) == server.visible()


def test_a_command_waits_for_the_reply_before_it_where_pipelining_is_off() -> None:
    replies = {b"SIZE": b"550 no\r\n"}
    with scripted_ftp(replies, greeting=b"220 Microsoft FTP Service\r\n") as (connection, log):
        ftp = connect(connection)
        answers = ftp.burst(["SIZE /1", "SIZE /2"])
        next(answers)
        assert "SIZE /2" not in log
        assert next(answers).code == 550
        assert log[-2:] == ["SIZE /1", "SIZE /2"]
        ftp.poison()


def test_a_file_under_another_ones_name_is_taken_away_again() -> None:
    replies = {
        b"RNFR": b"501 bad sequence\r\n",
        b"RNTO": b"250 renamed\r\n",
        b"DELE": b"250 ok\r\n",
    }
    with scripted_ftp(replies) as (connection, log):
        ftp = connect(connection)
        staged = [Staged(n, f"/a/.{n}.part", f"/a/{n}.jpg", "size") for n in (1, 2)]
        with pytest.raises(
            DeliveryRefused, match=r"another file to /a/1\.jpg; it was deleted again"
        ):
            RenameGroup(staged, "/", "kept").rename(ftp)
        assert log[-2:] == ["DELE /a/1.jpg", "DELE /a/2.jpg"]
        ftp.poison()


def test_a_rename_that_gets_lost_in_a_burst_leaves_no_file_under_a_wrong_name(
    server: FtpSite,
) -> None:
    made = items(4)
    with FaultProxy(server, Fault("RNTO", "swallow")) as proxy:
        connection = server.connection(port=proxy.port)
        with publisher(connection, connections=1) as delivery, suppress(DeliveryRefused):
            delivery.publish(delivery.stage(made).staged)
    assert server.visible().items() <= expected(made).items()
