"""A list of files that is not whole: what it does not show is looked for by its name."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from fixtures.ferry import FerryBench, bench
from fixtures.ftp_site import PASSWORD, USER, FtpSite
from fixtures.odd_ftp import odd_server
from fixtures.real_ftp import real_server

from frameferry.operations.recover import Decision, Recovery, recover
from frameferry.pipeline import steps
from frameferry.pipeline.context import Context
from frameferry.pipeline.run import run_until_caught_up

NOTHING = Decision(taken_to={}, send_beyond=False)
PICTURES = 30
CUT = {
    "pyftpdlib": {"list_cut": 20, "list_end": "Output truncated to 20 matches"},
    "pureftpd": ("-L", "20:5"),
    "proftpd": ("FactsAdvertise off", 'ListOptions "-a" maxfiles 20'),
    "vsftpd": ("hide_file={*7.bin,*8.bin}",),
}
"""How a server comes to show a part only. ProFTPD and vsftpd do not say so."""


class Bench:
    """A pipeline on an FTP server whose lists are not whole."""

    def __init__(self, ferry: FerryBench, site: FtpSite, kafka: Any) -> None:
        self.ferry, self.site, self._kafka = ferry, site, kafka
        ferry.connections["archive_ftp"] = {
            "conn_type": "ftp",
            "host": site.host,
            "port": site.port,
            "login": USER,
            "password": PASSWORD,
            "extra": {"timeout": 10},
        }
        self._made = 0

    @property
    def base(self) -> Path:
        return self.site.root / self.ferry.content["deliver"]["base"].strip("/")

    def produce(self, count: int) -> None:
        values = [f"picture {self._made + at}".encode() for at in range(count)]
        self._kafka.produce(self.ferry.content["kafka"]["topic"], values)
        self._made += count

    def stamps(self) -> dict[str, int]:
        """Every file with its inode: a file that was sent again is another."""
        return {p.name: p.stat().st_ino for p in self.base.rglob("*") if p.is_file()}

    def carry(self) -> int:
        with self.ferry.context() as ctx:
            run_until_caught_up(ctx, stalled_seconds=5)
            return ctx.ledger.counts(ctx.pipeline).delivered

    def lose_the_ledger(self) -> None:
        self.ferry.ledger_url = f"sqlite:///{self.ferry.folder / 'new.db'}"

    def recover(self, decision: Decision = NOTHING) -> Recovery:
        with self.ferry.context() as ctx:
            return recover(ctx, decision, verify=False, dry_run=False, who="anna")


@pytest.fixture
def make_bench(tmp_path, kafka_server, ftp_server):
    with ExitStack() as stack:

        def make(kind: str = "pyftpdlib", **options: Any) -> Bench:
            topic = kafka_server.create_topic(partitions=1)
            ferry = bench(tmp_path, topic=topic, kafka=kafka_server, ftp=ftp_server)
            ferry.content["deliver"]["name"] = "{partition}-{offset:05d}.bin"
            if kind == "pyftpdlib":
                site = stack.enter_context(odd_server(tmp_path / "root", **options))
            else:
                site = stack.enter_context(real_server(kind, lines=CUT[kind]))
            return Bench(ferry, site, kafka_server)

        yield make


def assert_none_is_sent_again(plant: Bench) -> Recovery:
    plant.produce(PICTURES)
    assert PICTURES == plant.carry()
    before = plant.stamps()
    assert PICTURES == len(before)
    plant.lose_the_ledger()
    plant.produce(3)
    found = plant.recover()
    assert 0 < found.files < PICTURES, "the list was to show a part only"
    assert PICTURES + 3 == plant.carry()
    after = plant.stamps()
    assert before == {name: after[name] for name in before}, "a file was sent a second time"
    assert PICTURES + 3 == len(after)
    return found


def test_what_a_cut_list_does_not_show_is_not_sent_again(make_bench, server_kind):
    options = CUT["pyftpdlib"] if server_kind == "pyftpdlib" else {}
    found = assert_none_is_sent_again(make_bench(server_kind, **options))
    if server_kind in {"pyftpdlib", "pureftpd"}:
        assert ["the server said '226 Output truncated to 20 matches'"] == [
            flaw for _, flaw in found.unlisted
        ]
        assert "1 folders not listed whole" in found.sentence


@pytest.mark.parametrize(
    ("options", "flaw"),
    [
        ({"list_cut": 17}, None),
        ({"list_hides": r"[37]\.bin$"}, None),
        ({"list_cut": 17, "without": ["MLSD", "MLST"]}, None),
        ({"list_cut": 17, "list_end": "Listed the first 17; LIMIT of list reached"}, "LIMIT"),
    ],
    ids=["silent cut", "hidden names", "LIST", "other words"],
)
def test_nor_what_other_lists_leave_out(make_bench, options, flaw):
    found = assert_none_is_sent_again(make_bench(**options))
    assert [flaw] == [flaw for _, said in found.unlisted if flaw in said] or flaw is None


def test_a_list_without_sizes_and_a_name_with_a_newline_hide_nothing(make_bench):
    plant = make_bench(list_facts=r"size=\d+;")
    plant.produce(PICTURES)
    plant.carry()
    (plant.base / "theirs\n2.bin").write_bytes(b"x")
    before = plant.stamps()
    plant.lose_the_ledger()
    found = plant.recover()
    assert PICTURES + 1 == found.files, "MLSD tells no sizes here, but LIST does"
    assert ["1 lines of its list cannot be read"] == [flaw for _, flaw in found.unlisted]
    plant.carry()
    assert before == plant.stamps()


def test_a_file_that_is_not_there_is_sent_though_files_are_taken(make_bench):
    """Beyond what a person says was taken, only a file that is there is a delivery."""
    plant = make_bench(list_cut=2)
    plant.ferry.content["deliver"]["after"] = "taken"
    plant.produce(4)
    with plant.ferry.context() as ctx:
        deliver_unpublished(ctx)
    before = plant.stamps()
    (plant.base / "0-00002.bin").unlink()
    plant.lose_the_ledger()
    plant.recover(Decision(taken_to={}, send_beyond=True))
    assert 4 == plant.carry()
    after = plant.stamps()
    assert {f"0-{at:05d}.bin" for at in range(4)} == set(after)
    assert {name: after[name] for name in before if name != "0-00002.bin"} == {
        name: before[name] for name in before if name != "0-00002.bin"
    }


def deliver_unpublished(ctx: Context) -> None:
    [batch] = steps.plan(ctx).batch_ids
    steps.infer(ctx, batch)
    steps.deliver(ctx, batch)
    steps.commit(ctx, batch)
