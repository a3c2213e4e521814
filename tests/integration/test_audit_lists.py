"""Lists that are not whole: an audit takes nothing for lost that they do not show."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from fixtures.audited import PICTURES, World, delivered, examples, ready, wrong
from fixtures.ftp_site import PASSWORD, USER
from fixtures.odd_ftp import odd_server
from fixtures.real_ftp import real_server

from frameferry.domain.audit import Kind
from frameferry.errors import DeliveryRefused, FtpUnavailable
from frameferry.ftp.client import connect
from frameferry.operations.audit import comparing
from frameferry.operations.audit.showing import Server

CUT = {
    "pyftpdlib": {"list_cut": 5, "list_end": "Output truncated to 5 matches"},
    "pureftpd": ("-L", "5:5"),
    "proftpd": ("FactsAdvertise off", 'ListOptions "-a" maxfiles 5'),
    "vsftpd": ("hide_file={*3.bin,*4.bin,*5.bin}",),
}
"""How a server comes to show a part only. ProFTPD and vsftpd do not say so."""
Make = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def make(tmp_path: Path, kafka_server: Any, ftp_server: Any) -> Make:
    @contextmanager
    def making(kind: str = "pyftpdlib", **options: Any) -> Iterator[World]:
        ferry = ready(tmp_path, kafka_server, ftp_server)
        ferry.content["deliver"]["name"] = "{partition}-{offset:05d}.bin"
        with ExitStack() as stack:
            if kind == "pyftpdlib":
                site = stack.enter_context(odd_server(tmp_path / "root", **options))
            else:
                site = stack.enter_context(real_server(kind, lines=CUT[kind]))
            ferry.connections["archive_ftp"] = {
                "conn_type": "ftp",
                "host": site.host,
                "port": site.port,
                "login": USER,
                "password": PASSWORD,
                "extra": {"timeout": 10},
            }
            yield stack.enter_context(delivered(ferry, site.root))

    return making


def test_of_a_list_that_was_cut_only_what_is_gone_is_missing(make: Make, server_kind: str) -> None:
    options = CUT["pyftpdlib"] if server_kind == "pyftpdlib" else {}
    with make(server_kind, **options) as world:
        world.file(0, 4).unlink()
        report = world.audit()
    assert report.files < PICTURES - 1, "the list was to show a part only"
    assert {Kind.missing: 1, Kind.not_judged: 1} == wrong(report)
    assert [("0-00004.bin", "0:4", "")] == examples(report, Kind.missing)
    [(_, _, why)] = examples(report, Kind.not_judged)
    assert "files are there that its list does not show" in why
    if server_kind in {"pyftpdlib", "pureftpd"}:
        assert "the server said '226 Output truncated to 5 matches'; " in why


def test_a_list_that_ends_at_a_round_number_and_is_whole_raises_no_alarm(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frameferry.ftp import listing

    monkeypatch.setattr(listing, "_ROUND", frozenset({PICTURES}))
    with make() as world:
        assert world.audit().is_well
        (world.base / "readme").write_bytes(b"")
        world.file(0, 4).unlink()
        assert {Kind.missing: 1} == wrong(world.audit()), "it ends at a round number again"


def test_files_that_no_list_shows_are_asked_for_by_name_up_to_a_bound(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "MAX_ASKED", 7)
    monkeypatch.setattr(comparing, "ASKED_AT_ONCE", 3)
    with make(list_hides=r"\.bin$") as world:
        report = world.audit()
    assert {Kind.unasked: PICTURES - 7, Kind.not_judged: 1} == wrong(report)
    assert "7 files are there" in examples(report, Kind.not_judged)[0][2]


def test_a_folder_that_may_not_be_listed_is_named_and_its_files_are_asked_for(
    make: Make,
) -> None:
    with make(list_refuses="locked") as world:
        world.ferry.content["deliver"]["name"] = "locked/{partition}-{offset:05d}.bin"
        (world.base / "locked").mkdir()
        for file in list(world.base.glob("*.bin")):
            file.rename(world.base / "locked" / file.name)
        world.change(
            "UPDATE record SET remote_path = replace(remote_path, :old, :new)",
            old="/0-0",
            new="/locked/0-0",
        )
        world.change(
            "UPDATE record SET remote_path = replace(remote_path, :old, :new)",
            old="/1-0",
            new="/locked/1-0",
        )
        whole = world.audit()
        window = world.audit(since_ms=0)
    for report in (whole, window):
        assert {Kind.not_judged: 1} == wrong(report)
        assert f"; {PICTURES} files are there" in examples(report, Kind.not_judged)[0][2]


def test_a_server_that_lists_nothing_is_an_error_and_blocks_no_delivery(make: Make) -> None:
    with make(list_refuses="") as world:
        with pytest.raises(DeliveryRefused, match="does not list"):
            world.audit()
        assert world.ctx.ledger.blocked(world.ctx.pipeline) is None


def test_a_file_that_may_not_be_read_is_unread_and_not_missing(make: Make) -> None:
    with make(permissions="eladfmwMT") as world:
        assert world.audit().is_well
        assert {Kind.unread: PICTURES} == wrong(world.audit(sample=100))
    with make(without=["RETR"]) as world:
        assert {Kind.unread: 3} == wrong(world.audit(sample=3))


def test_a_connection_that_ends_while_the_ledger_is_read_is_said(tmp_path: Path) -> None:
    with odd_server(tmp_path / "root") as site:
        ftp = connect(site.connection())
        server = Server(ftp, "/")
        server.keep_alive()
    with closing(ftp), pytest.raises(FtpUnavailable, match="ended the connection"):
        server.keep_alive()


def test_a_sample_is_drawn_by_chance() -> None:
    drawn: Counter[int] = Counter()
    for seed in range(300):
        sampler = comparing.Sampler(3, random.Random(seed))
        for number in range(10):
            sampler.offer(number)  # type: ignore[arg-type]
        assert 3 == len(set(sampler.drawn))
        drawn.update(sampler.drawn)  # type: ignore[arg-type]
    assert set(range(10)) == set(drawn)
    assert min(drawn.values()) > 50, "of 900 in all, each of ten is drawn about 90 times"
