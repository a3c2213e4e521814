from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

import pytest
from fixtures import ferry_child
from fixtures.ferrying import Item, Watcher, deliver, expected, intents, items, publisher
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import PASSWORD, FtpSite
from fixtures.odd_ftp import odd_server

from frameferry.delivery.rounds import RetryPolicy
from frameferry.delivery.sweeping import delete_parts, find_parts
from frameferry.domain.records import Receipt
from frameferry.errors import DeliveryRefused, FtpUnavailable

SIZE_BYTES = 120_000
HALF = 50_000


def ferry_through(
    server: FtpSite, *faults: Fault, count: int = 12, connections: int = 3
) -> FaultProxy:
    """Deliver over older files of the same names through a proxy; return it and the watcher."""
    old, new = (items(count, size_bytes=SIZE_BYTES, seed=seed) for seed in (1, 2))
    with publisher(server.connection()) as delivery:
        deliver(delivery, old)
    with (
        Watcher(server.root, expected(old), expected(new)) as watcher,
        FaultProxy(server, *faults) as proxy,
    ):
        connection = server.connection(port=proxy.port, timeout_seconds=server.stall_seconds)
        with publisher(connection, connections=connections) as delivery:
            receipts = deliver(delivery, new)
    assert list(range(count)) == sorted(receipt.record_id for receipt in receipts)
    assert expected(new) == server.visible()
    assert watcher.partial == []
    assert watcher.missing == []
    assert watcher.looks > 1
    assert_kept_secret(server, proxy)
    return proxy


def assert_kept_secret(server: FtpSite, proxy: FaultProxy) -> None:
    """See that nothing but the wish for TLS went out in the clear where TLS was asked for."""
    if server.tls != "none":
        assert proxy.said_in_clear <= {"AUTH"}


# The table of what real servers and networks do.
TABLE = {
    "1 connection reset at once": [Fault("ACCEPT", "reset", nth=n) for n in (1, 3)],
    "2 too many connections from the second on": [
        Fault("ACCEPT", "421 Too many connections", nth=n) for n in range(2, 30)
    ],
    "3 accepted, and not a word": [Fault("ACCEPT", "mute", nth=n) for n in (1, 3)],
    "4 data port refused": [Fault("DATA", "refuse", nth=n) for n in (2, 5, 6)],
    "5 data reset in the middle": [Fault("DATA", "reset", nth=n, after=HALF) for n in (1, 4, 9)],
    "6 the server sees an early end": [Fault("DATA", "end", nth=n, after=HALF) for n in (1, 4, 9)],
    "7 the tail is lost and all say 226": [
        Fault("DATA", "drop", nth=n, after=HALF) for n in (1, 4, 9)
    ],
    "8 the 226 is lost": [Fault("STOR", "lose", nth=n) for n in (1, 5)],
    "9 cut before the rename": [Fault("RNTO", "cut", nth=n) for n in (1, 6)],
    "10 renamed, and the reply is lost": [Fault("RNTO", "lose", nth=n) for n in (1, 6, 9)],
    "10b renamed, and the reply never comes": [Fault("RNTO", "stall", nth=n) for n in (1, 6)],
    "11 the disk is full for a while": [
        Fault("STOR", "452 No space left on device", nth=n) for n in range(2, 9)
    ],
    "12 data stalls": [Fault("DATA", "stall", nth=n, after=HALF) for n in (2, 7)],
    "14 the 226 comes after the time-out": [Fault("STOR", "stall", nth=n) for n in (1, 5)],
}


@pytest.mark.parametrize("faults", TABLE.values(), ids=TABLE.keys())
def test_all_arrive_whole_and_nobody_ever_sees_a_part(server: FtpSite, faults: list[Fault]) -> None:
    ferry_through(server, *faults)
    assert server.hidden() == []


VERBS = (
    *("AUTH", "USER", "PASS", "FEAT", "TYPE", "PBSZ", "PROT", "OPTS"),
    *("MKD", "EPSV", "STOR", "SIZE", "HASH", "RNFR", "RNTO", "DELE", "QUIT"),
)
OF_A_LOGIN = frozenset({"AUTH", "USER", "PASS", "PBSZ", "PROT"})
PASSING = ("421 Timeout", "451 Local error", "cut", "hang", "lose", "stall")
"""Refused for now; cut off before; not answered; done, and the reply lost or kept back."""


def faults_at(verb: str, action: str) -> list[Fault]:
    """
    Choose when a verb fails, and what leads to it.

    The first log-in is not repeated, so that of the second connection fails. Every farewell
    fails. Only an upload that failed leaves something to be deleted.
    """
    if verb == "DELE":
        return [Fault("STOR", "lose"), Fault(verb, action)]
    return [Fault(verb, action, nth=0 if verb == "QUIT" else 1 + (verb in OF_A_LOGIN))]


@pytest.mark.parametrize("action", PASSING)
@pytest.mark.parametrize("verb", VERBS)
def test_any_command_may_fail_in_any_way(server: FtpSite, verb: str, action: str) -> None:
    proxy = ferry_through(server, *faults_at(verb, action), count=4)
    assert proxy.verbs(verb)
    if verb == "DELE":
        sweep(server)
    assert server.hidden() == []


def sweep(server: FtpSite) -> None:
    """Delete what nobody could delete before, as `frameferry sweep` does."""
    with publisher(server.connection()) as delivery, delivery.lent() as ftp:
        for folder in {path.rpartition("/")[0] for path in server.visible()}:
            parts = [part.path for part in find_parts(ftp, folder, base="/press-a")]
            assert delete_parts(ftp, parts) == {}


@pytest.mark.parametrize("action", PASSING)
def test_a_hash_may_stay_away_in_any_way(tmp_path: Path, action: str) -> None:
    """Of the real servers only ProFTPD has a hash, and it is asked for by HASH."""
    with odd_server(tmp_path, hash="XSHA256") as server:
        proxy = ferry_through(server, Fault("XSHA256", action), count=4)
        assert proxy.verbs("XSHA256")
        assert server.hidden() == []


@pytest.mark.parametrize("verb", VERBS)
def test_a_permanent_refusal_of_any_command_loses_nothing(server: FtpSite, verb: str) -> None:
    old, new = (items(4, size_bytes=SIZE_BYTES, seed=seed) for seed in (1, 2))
    with publisher(server.connection()) as delivery:
        deliver(delivery, old)
    with (
        Watcher(server.root, expected(old), expected(new)) as watcher,
        FaultProxy(server, *faults_at(verb, "550 I will not")) as proxy,
    ):
        left = refused_by(server, proxy, new)
        with publisher(server.connection(), tag="e-1-2") as delivery:
            deliver(delivery, left)
    assert proxy.verbs(verb)
    assert_kept_secret(server, proxy)
    assert expected(new) == server.visible()
    assert watcher.partial == []
    assert watcher.missing == []


def refused_by(server: FtpSite, proxy: FaultProxy, made: list[Item]) -> list[Item]:
    """Deliver as far as a server lets us; return what then has neither receipt nor refusal."""
    receipts: list[Receipt] = []
    with suppress(DeliveryRefused):
        connection = server.connection(port=proxy.port, timeout_seconds=server.stall_seconds)
        with publisher(connection, connections=2) as delivery:
            result = delivery.stage(made)
            published = delivery.publish(result.staged)
            receipts = published.receipts
            refused = {one.record_id for one in published.refused}
            delivery.discard([one for one in result.staged if one.record_id in refused])
            assert all("I will not" in one.detail for one in published.refused + result.refused)
    done = {receipt.record_id for receipt in receipts}
    return [item for item in made if item[0].record_id not in done]


NO_TLS = ("502 What?", "504 Not so", "530 Log in", "534 Never", "431 Not now")


@pytest.mark.parametrize("said", NO_TLS)
@pytest.mark.parametrize("verb", ["AUTH", "PROT"])
def test_a_server_that_will_not_encrypt_gets_nothing_in_the_clear(
    server: FtpSite, verb: str, said: str
) -> None:
    with (
        FaultProxy(server, Fault(verb, said, nth=0)) as proxy,
        pytest.raises((DeliveryRefused, FtpUnavailable)),
        publisher(server.connection(port=proxy.port)) as delivery,
    ):
        deliver(delivery, items(1))
    assert proxy.verbs(verb)
    assert_kept_secret(server, proxy)
    said_before = {"USER", "PASS", "FEAT", "TYPE", "PBSZ", "PROT"} if verb == "PROT" else set()
    assert {name for name, _ in proxy.log} <= {"AUTH"} | said_before
    assert server.visible() == {}
    assert server.hidden() == []


def test_a_rename_whose_reply_was_lost_is_not_done_twice(server: FtpSite) -> None:
    proxy = ferry_through(server, Fault("RNTO", "lose", nth=0), count=4, connections=1)
    finals = proxy.verbs("RNTO")
    assert len(set(finals)) == len(finals)


def test_a_part_that_the_server_does_not_show_is_sent_again(server: FtpSite) -> None:
    proxy = ferry_through(server, Fault("SIZE", "550 No such file", nth=2), count=6)
    assert len(proxy.verbs("STOR")) == 7


FLIP = Fault("DATA", "flip", nth=3, after=HALF)


def test_a_flipped_bit_is_noticed_or_the_receipt_claims_no_more_than_the_size(
    server: FtpSite,
) -> None:
    if server.proof != "size":
        proxy = ferry_through(server, FLIP)
        assert len(proxy.verbs("STOR")) == 13
        assert server.hidden() == []
        return
    made = items(4, size_bytes=SIZE_BYTES)
    with FaultProxy(server, FLIP) as proxy:
        with publisher(server.connection(port=proxy.port)) as delivery:
            receipts = deliver(delivery, made)
        assert len(proxy.verbs("STOR")) == 4
    assert {"size"} == {receipt.how for receipt in receipts}
    came = server.visible()
    wrong = [data for path, data in expected(made).items() if data != came[path]]
    assert [SIZE_BYTES] == [len(data) for data in wrong]


def test_data_that_nobody_takes_is_given_up_in_time(server: FtpSite) -> None:
    made = items(1, size_bytes=16 * (1 << 20))
    with FaultProxy(server, Fault("DATA", "stall", after=HALF)) as proxy:
        connection = server.connection(port=proxy.port, timeout_seconds=1)
        started = time.monotonic()
        with publisher(connection) as delivery:
            deliver(delivery, made)
        assert time.monotonic() - started < 15  # the proxy lets go after 20 s
    assert expected(made) == server.visible()


def test_a_connection_that_had_trouble_is_not_used_again(server: FtpSite) -> None:
    proxy = ferry_through(server, Fault("STOR", "451 Local error", nth=2), connections=1)
    assert len(proxy.verbs("PASS")) == 2


def test_a_lost_reply_is_settled_though_a_consumer_took_the_file_at_once(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path, taken_at_once=True) as server,
        FaultProxy(server, *(Fault("RNTO", "lose", nth=n) for n in (1, 3))) as proxy,
        publisher(server.connection(port=proxy.port), connections=1, after="taken") as delivery,
    ):
        receipts = deliver(delivery, items(6))
    assert list(range(6)) == sorted(receipt.record_id for receipt in receipts)


def test_a_part_is_never_sent_twice_under_one_name(server: FtpSite) -> None:
    proxy = ferry_through(server, *(Fault("STOR", "lose", nth=n) for n in (1, 2, 3)))
    parts = proxy.verbs("STOR")
    assert len(parts) == 15
    assert len(set(parts)) == len(parts)


def test_a_disk_that_is_really_full_holds_up_and_loses_nothing(tmp_path: Path) -> None:
    made = items(2, size_bytes=8 * (1 << 20))
    full = tmp_path / "full"
    full.touch()
    with odd_server(tmp_path / "root", full_while=str(full)) as server:
        impatient = RetryPolicy(tries=2, first_seconds=0)
        with (
            publisher(server.connection(timeout_seconds=5), retry=impatient) as waiting,
            pytest.raises(FtpUnavailable, match=r"upload failed: the server said '426"),
        ):
            waiting.stage(made)
        assert server.visible() == {}
        full.unlink()
        with publisher(server.connection(timeout_seconds=5), tag="e-1-2") as delivery:
            deliver(delivery, made)
        assert expected(made) == server.visible()


def test_a_server_that_goes_down_for_good_is_given_up_in_bounded_time(server: FtpSite) -> None:
    with FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port)) as delivery:
            proxy.faults += [Fault("ACCEPT", "reset", nth=0), Fault("EPSV", "cut", nth=0)]
            with pytest.raises(FtpUnavailable, match="given up after 8 tries"):
                delivery.stage(items(20))
        assert len(proxy.verbs("PASS")) == 1


def test_what_a_failed_group_left_is_swept_or_settled_by_the_next_attempt(
    server: FtpSite,
) -> None:
    made = items(8, size_bytes=SIZE_BYTES)
    with FaultProxy(server, Fault("RNTO", "cut", nth=0)) as proxy:
        connection = server.connection(port=proxy.port)
        with publisher(connection, connections=1) as dead:
            staged = dead.stage(made).staged
            with pytest.raises(FtpUnavailable):
                dead.publish(staged)
    with publisher(server.connection(), tag="e-1-2") as delivery:
        settled = delivery.settle(intents(made, staged))
    assert set(range(8)) == {receipt.record_id for receipt in settled.receipts}
    assert expected(made) == server.visible()
    assert server.hidden() == []


def test_settling_goes_on_through_faults(server: FtpSite) -> None:
    made = items(9, size_bytes=SIZE_BYTES)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
        dead.publish(staged[:4])
    faults = [Fault(verb, "lose", nth=n) for verb in ("SIZE", "RNFR", "RNTO") for n in (1, 3)]
    with (
        FaultProxy(server, *faults) as proxy,
        publisher(server.connection(port=proxy.port), tag="e-1-2", after="taken") as delivery,
    ):
        settled = delivery.settle(intents(made, staged))
    assert list(range(9)) == sorted(receipt.record_id for receipt in settled.receipts)
    assert expected(made) == server.visible()


LIVES = 12
ENDS = (("STOR", 3), ("RNTO", 5), ("SIZE", 9), ("RNFR", 2))


def killing(
    born: SimpleQueue[subprocess.Popen[bytes]], verb: str, count: int
) -> Callable[[str], None]:
    """Kill a process as it sends a verb for the *count*-th time: from the thread that hears it."""
    seen = itertools.count(1)

    def before(sent: str) -> None:
        if sent == verb and next(seen) == count:
            born.get(timeout=30).kill()

    return before


def test_a_client_killed_again_and_again_delivers_each_file_once(
    server: FtpSite, tmp_path: Path
) -> None:
    made = items(ferry_child.COUNT, size_bytes=ferry_child.SIZE_BYTES)
    ledger = tmp_path / "ledger.jsonl"
    with Watcher(server.root, expected(made)) as watcher, FaultProxy(server) as proxy:
        connection = server.connection(port=proxy.port, timeout_seconds=10).model_dump(mode="json")
        told = json.dumps({**connection, "password": PASSWORD})
        argv = [sys.executable, ferry_child.__file__, told, str(ledger)]
        lives = itertools.islice(itertools.cycle(ENDS), LIVES)
        # Each life ends at another command: in the midst of uploads, of renames, in between.
        for attempt, (verb, count) in enumerate(lives):
            born: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
            proxy.before = killing(born, verb, count)
            with subprocess.Popen([*argv, str(attempt)]) as child:
                born.put(child)
                assert child.wait(60) == -signal.SIGKILL, f"ended before {verb} number {count}"
        proxy.before = lambda _verb: None
        subprocess.run([*argv, "last"], check=True, timeout=60)
    receipts, open_intents = ferry_child.read_ledger(ledger)
    assert set(range(ferry_child.COUNT)) == receipts
    assert open_intents == []
    assert expected(made) == server.visible()
    assert watcher.partial == []
    assert watcher.missing == []
