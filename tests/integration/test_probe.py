"""`frameferry probe`: what it finds on servers of all manners, and that it leaves no trace."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from fixtures.certificates import make_certificates
from fixtures.ferry import FerryBench
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import FtpSite
from fixtures.odd_ftp import odd_server
from fixtures.polling import poll
from fixtures.real_ftp import real_server
from fixtures.scripted_ftp import scripted_ftp

from frameferry.config.connections import FtpConnection
from frameferry.errors import LoginRefused, PipelineBlocked
from frameferry.ftp.client import FerryFTP, connect
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.operations.probe import Probe, probe


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Ledger]:
    with closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger:
        yield ledger


@pytest.fixture
def tried(tmp_path: Path, book: Ledger) -> Callable[..., tuple[Probe, FtpSite]]:
    """Probe an odd server, and see that nothing is left on it."""

    def run(*, connection: dict[str, Any] | None = None, **options: Any) -> Any:
        with odd_server(tmp_path / "root", **options) as server:
            found = probe(book, server.connection(**connection or {}), base="/press/a")
        return found, server

    return run


def finding(found: Probe, check: str) -> Any:
    return next(one for one in found.findings if one.check == check)


def test_a_good_server_is_fit_and_bears_no_trace(tried):
    found, server = tried()
    assert found.is_passed
    assert [] == list(server.root.iterdir())
    assert () == found.left
    verdicts = {one.check: one.verdict for one in found.findings}
    notes = {check for check, verdict in verdicts.items() if verdict == "note"}
    assert {"encryption", "hidden names"} == notes, found.findings
    assert "each met a whole file" in finding(found, "atomic replace").seen
    assert "MB/s" in finding(found, "speed").seen
    assert "connections" not in verdicts


def test_of_a_server_that_is_far_away_it_says_that_more_connections_help(tmp_path, book):
    with odd_server(tmp_path / "root") as server, FaultProxy(server) as proxy:
        proxy.before = lambda verb: time.sleep(0.02) if verb == "NOOP" else None
        found = probe(book, server.connection(port=proxy.port), base="/press/a")
    speed = finding(found, "speed")
    assert ("note", "deliver.connections: 8") == (speed.verdict, speed.setting)
    assert "far away" in speed.seen
    assert found.is_passed


def test_every_sound_server_is_fit_and_bears_no_trace(server, book):
    found = probe(book, server.connection(), base="/press/a")
    assert found.is_passed, found.findings
    assert () == found.left
    assert [] == list(server.root.iterdir())
    assert "each met a whole file" in finding(found, "atomic replace").seen
    assert ("ok" if server.tls != "none" else "note") == finding(found, "encryption").verdict
    has_hash = server.proof == "hash:sha256"
    assert ("HASH" if has_hash else "no hash") in finding(found, "verification").seen


def test_what_was_there_before_stays(tmp_path, book):
    (tmp_path / "root/press/a").mkdir(parents=True)
    (tmp_path / "root/press/a/picture.jpg").write_bytes(b"picture")
    with odd_server(tmp_path / "root") as server:
        assert probe(book, server.connection(), base="/press/a").is_passed
        assert {"/press/a/picture.jpg": b"picture"} == server.visible()


@pytest.mark.parametrize(
    ("options", "check", "verdict", "said"),
    [
        ({"keeps_names": True}, "replace", "fail", "no rename over a file"),
        ({"lies": True}, "rename", "fail", "does nothing"),
        ({"hash": "XSHA256"}, "verification", "ok", "XSHA256 with SHA-256"),
        ({"without": ["SIZE"]}, "verification", "ok", "MLST; no hash"),
        ({"without": ["SIZE", "MLST"]}, "verification", "note", "read back"),
        ({"without": ["SIZE"]}, "atomic replace", "note", "not looked at"),
        ({"permissions": "elrafwMT"}, "folders", "fail", "cannot make"),
        ({"refuse": r"\.hidden"}, "hidden names", "note", "leading dot are refused"),
        ({"refuse": r"도장"}, "names", "note", "not kept as sent"),
        ({"without": ["EPSV"]}, "upload", "ok", "PASV"),
        ({"max_connections": 1}, "atomic replace", "note", "no further connection"),
        ({"list_cut": 150, "list_end": "Truncated."}, "list", "note", "said '226 Truncated.'"),
        ({"list_cut": 150}, "list", "note", "leaves out"),
        ({"list_hides": r"crowd-7$"}, "list", "note", "leaves out 1: without a word"),
    ],
)
def test_what_is_found_on_odd_servers(tried, options, check, verdict, said):
    found, server = tried(**options)
    one = finding(found, check)
    assert verdict == one.verdict, one
    assert said in one.seen
    assert (verdict != "fail") == found.is_passed
    if "keeps_names" not in options:
        assert [] == [path for path in server.root.rglob("*") if path.is_file()]


def test_without_the_right_to_delete_it_says_what_is_left(tried):
    found, server = tried(permissions="elrafmwMT")
    assert "note" == finding(found, "delete").verdict
    assert found.folder in found.left
    assert server.visible()


def test_the_limit_of_lists_is_met_where_there_is_one(book, server_kind, tmp_path):
    """Pure-FTPd ends a list at 10,000 names, and says so in a reply that is a success."""
    is_pure = server_kind == "pureftpd"
    with ExitStack() as stack:
        if server_kind == "pyftpdlib":
            site = stack.enter_context(odd_server(tmp_path / "root", list_cut=1_000))
        else:
            site = stack.enter_context(real_server(server_kind))
        usual = finding(probe(book, site.connection(), base="/"), "list")
        assert ("note" if is_pure else "ok") == usual.verdict
        assert is_pure == ("Pure-FTPd ends a list at 10,000" in usual.seen)
        most = {"pyftpdlib": 1_050, "pureftpd": 10_050}.get(server_kind, 2_000)
        found = probe(book, site.connection(), base="/", names=most)
        assert [] == list(site.root.iterdir())
    many = finding(found, "list")
    assert ("ok" if server_kind in {"vsftpd", "proftpd"} else "note") == many.verdict
    assert is_pure == ("Output truncated to 10000 matches" in many.seen)
    assert (many.verdict == "note") == any("{hour}" in one for one in found.settings)


def test_over_tls(tmp_path, tried):
    authority, certificate = make_certificates(tmp_path)
    connection = {"tls": "explicit", "ca_cert": str(authority)}
    found, _ = tried(
        connection=connection, tls="explicit", certificate=str(certificate), reuse=True
    )
    assert found.is_passed, found.findings
    assert "ok" == finding(found, "encryption").verdict
    assert "certificate verified" in finding(found, "encryption").seen


def test_the_limit_of_connections_is_met_only_when_asked(tmp_path, book):
    with odd_server(tmp_path / "root", max_connections=3) as server:
        found = probe(book, server.connection(), base="/", connections=8)
        assert "deliver.connections: 3" in found.settings
        with closing(connect(server.connection())) as after:
            assert isinstance(after, FerryFTP)
        roomy = probe(book, server.connection(), base="/", connections=2)
    assert "2 at once, no limit met" == finding(roomy, "connections").seen


def test_a_wrong_password_is_tried_once_whoever_asks(tmp_path, book):
    logins: list[FtpConnection] = []

    def counted(connection: FtpConnection) -> FerryFTP:
        logins.append(connection)
        return connect(connection)

    with odd_server(tmp_path / "root") as server:
        wrong = server.connection(password="wrong")
        with pytest.raises(LoginRefused):
            probe(book, wrong, base="/", open_ftp=counted)
        for _ in range(2):
            with pytest.raises(PipelineBlocked, match="refused this user and password before"):
                probe(book, wrong, base="/", open_ftp=counted)
        assert 1 == len(logins)
        book.forget_refusal(wrong.digest)
        with pytest.raises(LoginRefused):
            probe(book, wrong, base="/", open_ftp=counted)
        assert 2 == len(logins)
        assert probe(book, server.connection(), base="/").is_passed


def test_a_server_that_breaks_off_is_a_finding(book):
    with scripted_ftp({b"CWD ": b"550 no\r\n", b"MKD ": b"what?\r\n"}) as (connection, _):
        found = probe(book, connection, base="/press-a")
    assert "fail" == finding(found, "folders").verdict
    assert ["log-in", "encryption", "folders"] == [one.check for one in found.findings]


@pytest.fixture
def ferry(tmp_path: Path) -> FerryBench:
    return FerryBench(tmp_path, {"pipeline": "press-a"})


def connect_to(ferry: FerryBench, server: FtpSite, **changes: Any) -> None:
    ferry.connections["archive_ftp"] = {
        "conn_type": "ftp",
        "host": "127.0.0.1",
        "port": server.port,
        "login": "ferry",
        "password": "open sesame",
        "extra": {"timeout": 5},
        **changes,
    }


def test_the_command_prints_a_table_with_a_verdict_and_json(tmp_path, ferry):
    with odd_server(tmp_path / "root") as server:
        connect_to(ferry, server)
        table = ferry.run("probe", "archive_ftp", "--folder", "/x")
        told = ferry.json("probe", "archive_ftp")
    assert 0 == table.returncode, table.stderr
    assert "fit for delivery" in table.stdout
    assert "tried in /x/frameferry-probe-" in table.stdout
    assert told["passed"]
    assert {"check", "verdict", "seen", "setting"} == set(told["findings"][0])
    assert "open sesame" not in table.stdout + table.stderr + json.dumps(told)


def test_the_command_fails_where_the_server_does(tmp_path, ferry):
    with odd_server(tmp_path / "root", keeps_names=True) as server:
        connect_to(ferry, server)
        done = ferry.run("probe", "archive_ftp")
        assert 1 == done.returncode
        assert "not fit for delivery" in done.stdout
        connect_to(ferry, server, password="wrong")
        refused = [ferry.run("probe", "archive_ftp", *more) for more in ((), (), ("--again",))]
    assert [1, 1, 1] == [one.returncode for one in refused]
    assert "refuses user" in refused[0].stderr
    assert "refused this user and password before" in refused[1].stderr
    assert "refuses user" in refused[2].stderr
    assert "Traceback" not in refused[0].stderr


@pytest.mark.parametrize("folder", ["press-a", "/a/../b", "/a\nb"])
def test_a_folder_that_is_none_is_refused(tmp_path, ferry, folder):
    with odd_server(tmp_path / "root") as server:
        connect_to(ferry, server)
        done = ferry.run("probe", "archive_ftp", "--folder", folder)
    assert 1 == done.returncode
    assert "is not an absolute folder" in done.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_probe_cleans_up(tmp_path, ferry, how):
    with (
        odd_server(tmp_path / "root") as server,
        FaultProxy(server, Fault("RNTO", "stall", nth=5)) as proxy,
    ):
        connect_to(ferry, server, port=proxy.port, extra={"timeout": 60})
        with ferry.start("probe", "archive_ftp", "--folder", "/x") as process:
            poll(lambda: 5 <= len(proxy.verbs("RNTO")), "the rename that gets no reply")
            process.send_signal(how)
            _, said = process.communicate(timeout=30)
        assert 130 == process.returncode, said
        assert [] == list(server.root.iterdir())
    assert "Traceback" not in said
