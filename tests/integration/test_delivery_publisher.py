from __future__ import annotations

import shutil
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.ferrying import QUICK, deliver, expected, intents, items, publisher
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import FtpSite
from fixtures.odd_ftp import odd_server

from frameferry.delivery.pool import Pool
from frameferry.delivery.publisher import Publisher
from frameferry.delivery.renaming import After
from frameferry.delivery.rounds import RetryPolicy
from frameferry.domain.records import Receipt, Refusal
from frameferry.errors import DeliveryRefused, FtpUnavailable, LoginRefused, RecordChanged
from frameferry.ftp.client import FerryFTP, connect


def test_every_file_arrives_whole_under_its_name_with_a_receipt(server: FtpSite) -> None:
    made = items(30)
    with publisher(server.connection(), connections=4) as delivery:
        receipts = deliver(delivery, made)
    assert expected(made) == server.visible()
    assert server.hidden() == []
    assert {Receipt(consignment.record_id, server.proof) for consignment, _ in made} == set(
        receipts
    )


def test_a_staged_file_is_not_visible_before_it_is_published(server: FtpSite) -> None:
    made = items(4)
    with publisher(server.connection()) as delivery:
        staged = delivery.stage(made).staged
        assert server.visible() == {}
        assert len(server.hidden()) == 4
        delivery.publish(staged)
    assert expected(made) == server.visible()


def test_an_empty_file_and_one_of_many_pieces_arrive(server: FtpSite) -> None:
    made = [*items(2, size_bytes=0), *items(2, size_bytes=3 * (1 << 20) + 7, base="/press-a/big")]
    made = [(replace(consignment, record_id=n), data) for n, (consignment, data) in enumerate(made)]
    with publisher(server.connection(timeout_seconds=5)) as delivery:
        assert len(deliver(delivery, made)) == 4
    assert expected(made) == server.visible()


def test_nothing_to_do_is_nothing_done(server: FtpSite) -> None:
    with publisher(server.connection()) as delivery:
        assert delivery.stage([]).staged == []
        assert delivery.publish([]).receipts == []
        assert delivery.settle([]).receipts == []
        delivery.discard([])


def test_names_that_need_care_arrive_as_they_are(server: FtpSite) -> None:
    names = ["a b.jpg", "ü 압 🙂.jpg", "50%25.jpg", '"q".jpg', "[x]*?.jpg", "n" * 255]
    made = [
        (replace(consignment, remote_path=f"/press-a/{name}"), data)
        for name, (consignment, data) in zip(names, items(len(names)), strict=True)
    ]
    with publisher(server.connection()) as delivery:
        deliver(delivery, made)
    assert expected(made) == server.visible()


def test_a_second_delivery_replaces_and_never_adds(server: FtpSite) -> None:
    old, new = items(6, seed=1), items(6, seed=2)
    with publisher(server.connection()) as delivery:
        deliver(delivery, old)
        deliver(delivery, new)
    assert expected(new) == server.visible()


def test_discarded_parts_are_gone(server: FtpSite) -> None:
    with publisher(server.connection()) as delivery:
        delivery.discard(delivery.stage(items(5)).staged)
        assert server.hidden() == []


def test_bytes_of_another_length_than_judged_are_not_sent(server: FtpSite) -> None:
    (consignment, data), *_ = items(1)
    with publisher(server.connection()) as delivery, pytest.raises(RecordChanged, match="judged"):
        delivery.stage([(consignment, data[:-1])])
    assert server.hidden() == []


@pytest.mark.parametrize(
    "path", ["/press-b/x.jpg", "/press-a/../x.jpg", "/press-a/x\r\nDELE y", "/press-a/x\0.jpg"]
)
def test_an_unsafe_name_is_refused_alone_and_nothing_of_it_is_sent(
    server: FtpSite, path: str
) -> None:
    (bad, data), *good = items(3)
    with (
        FaultProxy(server) as proxy,
        publisher(server.connection(port=proxy.port)) as delivery,
    ):
        result = delivery.stage([(replace(bad, remote_path=path), data), *good])
    assert [refusal.reason for refusal in result.refused] == ["unsafe name"]
    assert len(result.staged) == 2
    assert len(proxy.verbs("STOR")) == 2
    assert not [sent for sent in proxy.log if "press-b" in sent[1] or ".." in sent[1]]


def test_a_name_that_the_encoding_cannot_write_is_refused_alone(server: FtpSite) -> None:
    good, (bad, data) = items(2), items(3)[2]
    bad = replace(bad, remote_path="/press-a/도장.jpg")
    with publisher(server.connection(encoding="latin-1")) as delivery:
        result = delivery.stage([(bad, data), *good])
        delivery.publish(result.staged)
    [refusal] = result.refused
    assert (2, "unsafe name") == (refusal.record_id, refusal.reason)
    assert "'도' cannot be written in the connection's encoding latin-1" == refusal.detail
    assert expected(good) == server.visible()


def test_a_picture_that_the_server_never_takes_holds_up_no_other(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path, filters=r"00001\.jpg") as server,
        publisher(server.connection()) as delivery,
    ):
        result = delivery.stage(items(4))
        assert 3 == len(delivery.publish(result.staged).receipts)
    [refusal] = result.refused
    assert (1, "upload refused") == (refusal.record_id, refusal.reason)
    assert "content filter" in refusal.detail


def test_a_server_that_takes_nothing_for_now_refuses_no_picture(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path, filters=".") as server,
        publisher(server.connection(), connections=1) as delivery,
        pytest.raises(FtpUnavailable, match=r"partition 0, offset 0.*content filter"),
    ):
        delivery.stage(items(1))


def test_names_that_the_server_never_gives_hold_up_no_other(tmp_path: Path) -> None:
    made = items(6)
    with (
        odd_server(tmp_path, holds=r"0000[14]\.jpg") as server,
        publisher(server.connection(), connections=1) as delivery,
    ):
        staged = delivery.stage(made).staged
        result = delivery.publish(staged)
        visible = server.visible()
    assert [0, 2, 3, 5] == sorted(receipt.record_id for receipt in result.receipts)
    assert [(1, "rename refused"), (4, "rename refused")] == sorted(
        (refusal.record_id, refusal.reason) for refusal in result.refused
    )
    assert all("another one uses it" in refusal.detail for refusal in result.refused)
    assert len(visible) == 4


def test_a_server_that_renames_nothing_for_now_refuses_no_picture(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path, holds=".") as server,
        publisher(server.connection(), connections=1) as delivery,
    ):
        staged = delivery.stage(items(2)).staged
        with pytest.raises(FtpUnavailable, match="another one uses it"):
            delivery.publish(staged)


def test_a_folder_that_goes_away_is_made_again(server: FtpSite) -> None:
    with publisher(server.connection(), connections=1) as delivery:
        deliver(delivery, items(2))
        shutil.rmtree(server.root / "press-a")
        deliver(delivery, items(2))
    assert expected(items(2)) == server.visible()


def test_a_deep_base_is_made_from_the_top_on(server: FtpSite) -> None:
    made = items(1, base="/plant/line-1/press-a")
    with publisher(server.connection(), base="/plant/line-1/press-a") as delivery:
        deliver(delivery, made)
    assert expected(made) == server.visible()


def test_connections_are_kept_between_groups(server: FtpSite) -> None:
    with FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port), connections=2) as delivery:
            for seed in range(4):
                deliver(delivery, items(4, seed=seed))
        assert len(proxy.verbs("PASS")) <= 2
        assert len(proxy.verbs("TYPE")) <= 2


def test_a_connection_that_the_server_closed_while_idle_is_not_used_again(tmp_path: Path) -> None:
    made = items(4)
    with odd_server(tmp_path, idle_seconds=1) as server:
        connection = server.connection(timeout_seconds=5)
        only_once = RetryPolicy(tries=1)
        with publisher(connection, connections=1, retry=only_once) as delivery:
            deliver(delivery, made)
            idle = delivery._pool._idle[0]
            assert idle.sock.recv(4, socket.MSG_PEEK) == b"421 "  # the server's farewell
            deliver(delivery, made)
        assert expected(made) == server.visible()


def test_a_mute_server_is_left_by_all_connections_at_once(server: FtpSite) -> None:
    with FaultProxy(server, Fault("QUIT", "hang", nth=0)) as proxy:
        pool = Pool(lambda: connect(server.connection(port=proxy.port)), connections=4)
        for idle in [pool.take() for _ in range(4)]:
            idle.seconds = 1
            pool.give_back(idle)
        started = time.monotonic()
        pool.close()
        assert 1 <= time.monotonic() - started < 3
        assert len(proxy.verbs("QUIT")) == 4


# Settling.


def test_a_part_that_is_there_is_renamed_by_the_next_attempt(server: FtpSite) -> None:
    made = items(6)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
    with publisher(server.connection(), tag="e-1-2") as delivery:
        settled = delivery.settle(intents(made, staged))
    assert set(range(6)) == {receipt.record_id for receipt in settled.receipts}
    assert settled.resend == []
    assert expected(made) == server.visible()
    assert server.hidden() == []


def test_a_part_that_is_gone_was_renamed(server: FtpSite) -> None:
    made = items(6)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
        dead.publish(staged)
    with publisher(server.connection(), tag="e-1-2") as delivery:
        settled = delivery.settle(intents(made, staged))
    assert set(range(6)) == {receipt.record_id for receipt in settled.receipts}
    assert expected(made) == server.visible()


@pytest.mark.parametrize(("after", "resent"), [("kept", [0]), ("taken", [])])
def test_a_file_that_is_gone_altogether_is_sent_again_only_where_files_are_kept(
    server: FtpSite, after: After, resent: list[int]
) -> None:
    made = items(1)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
        dead.publish(staged)
    (server.root / made[0][0].remote_path[1:]).unlink()
    with publisher(server.connection(), tag="e-1-2", after=after) as delivery:
        settled = delivery.settle(intents(made, staged))
    assert resent == settled.resend
    assert 1 - len(resent) == len(settled.receipts)


def test_what_is_gone_with_its_base_folder_was_not_taken(server: FtpSite) -> None:
    made = items(1)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
        dead.publish(staged)
    shutil.rmtree(server.root / "press-a")
    with (
        publisher(server.connection(), tag="e-1-2", after="taken") as delivery,
        pytest.raises(FtpUnavailable, match="base folder /press-a is not there"),
    ):
        delivery.settle(intents(made, staged))


def test_a_part_that_was_taken_with_its_folder_is_sent_again(server: FtpSite) -> None:
    made = items(1)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
        folder = server.root / made[0][0].remote_path[1:].rpartition("/")[0]
        folder.rename(server.root / "taken")
        with publisher(server.connection(), tag="e-1-2", after="taken") as delivery:
            settled = delivery.settle(intents(made, staged))
    assert ([], [0]) == (settled.receipts, settled.resend)


def test_nothing_is_concluded_from_a_no_that_is_not_of_the_file(server: FtpSite) -> None:
    """The connection is cut in a burst of renames; then the server wants a log-in for all."""
    made, no = items(2), "530 Please login with USER and PASS"
    with (
        FaultProxy(server) as proxy,
        publisher(server.connection(port=proxy.port), connections=1) as delivery,
    ):
        staged = delivery.stage(made).staged
        proxy.faults += [Fault("RNTO", "cut"), Fault("SIZE", no, nth=0)]
        proxy.faults += [Fault("RNFR", no, nth=nth) for nth in range(2, 99)]
        with pytest.raises(FtpUnavailable, match="Please login"):
            delivery.publish(staged)
        proxy.faults.clear()
        assert server.visible() == {}
        settled = delivery.settle(intents(made, staged))
    assert [0, 1] == [receipt.record_id for receipt in settled.receipts]
    assert expected(made) == server.visible()


@pytest.mark.parametrize(("after", "receipts"), [("kept", 0), ("taken", 2)])
def test_what_a_server_lost_with_the_connection_is_not_taken_for_renamed(
    server: FtpSite, after: After, receipts: int
) -> None:
    """It restarts, say, without what it had not written. Where files are taken nobody can tell."""
    made = items(2)

    def forgetful() -> FerryFTP:
        for part in server.root.rglob("*.part"):
            part.unlink()
        return connect(server.connection(port=proxy.port))

    with (
        FaultProxy(server, Fault("RNTO", "cut")) as proxy,
        Publisher(
            forgetful, base="/press-a", connections=1, part_tag="e-1-1", after=after, retry=QUICK
        ) as delivery,
    ):
        staged = delivery.stage(made).staged
        if receipts:
            assert receipts == len(delivery.publish(staged).receipts)
            return
        with pytest.raises(FtpUnavailable, match=r"neither .* nor its part is there"):
            delivery.publish(staged)
        assert [0, 1] == delivery.settle(intents(made, staged)).resend


def test_a_damaged_part_is_never_renamed(server: FtpSite) -> None:
    made = items(2)
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
    (server.root / staged[0].part_path[1:]).write_bytes(b"half")
    with publisher(server.connection(), tag="e-1-2") as delivery:
        settled = delivery.settle(intents(made, staged))
        assert [staged[0].record_id] == settled.resend
        assert [staged[0].part_path] == settled.leftovers
        delivery.discard_parts(settled.leftovers)
    assert [staged[1].remote_path] == list(server.visible())
    assert server.hidden() == []


def test_an_older_file_of_the_same_name_is_not_taken_for_the_delivery(server: FtpSite) -> None:
    old, new = items(1, seed=1, size_bytes=100), items(1, seed=2, size_bytes=200)
    with publisher(server.connection()) as dead:
        deliver(dead, old)
        staged = dead.stage(new).staged
        dead.discard(staged)
    with publisher(server.connection(), tag="e-1-2") as delivery:
        assert delivery.settle(intents(new, staged)).resend == [0]


def test_a_zombie_whose_part_a_newer_attempt_renamed_gets_its_receipt(server: FtpSite) -> None:
    made = items(3)
    with publisher(server.connection()) as zombie:
        staged = zombie.stage(made).staged
        with publisher(server.connection(), tag="e-1-2") as newer:
            newer.settle(intents(made, staged))
        assert len(zombie.publish(staged).receipts) == 3
    assert expected(made) == server.visible()


def test_a_part_that_somebody_deleted_gets_no_receipt(server: FtpSite) -> None:
    made = items(1)
    with publisher(server.connection()) as delivery:
        staged = delivery.stage(made).staged
        (server.root / staged[0].part_path[1:]).unlink()
        with pytest.raises(FtpUnavailable, match="gone before its rename"):
            delivery.publish(staged)


# Refusals.


def test_a_name_that_the_server_refuses_is_that_records_alone(tmp_path: Path) -> None:
    with odd_server(tmp_path, refuse=r"00003\.jpg\.e") as server:
        with publisher(server.connection()) as delivery:
            result = delivery.stage(items(6))
            assert [Refusal(3, "upload refused", "553 Prohibited file name.")] == result.refused
            assert len(delivery.publish(result.staged).receipts) == 5
        assert server.hidden() == []


def test_a_final_name_that_the_server_refuses_is_that_records_alone(tmp_path: Path) -> None:
    with odd_server(tmp_path, refuse_final=r"00003\.jpg$") as server:
        with publisher(server.connection()) as delivery:
            staged = delivery.stage(items(6)).staged
            published = delivery.publish(staged)
            assert [Refusal(3, "rename refused", "553 Prohibited file name.")] == published.refused
            assert len(published.receipts) == 5
            assert [staged[3].part_path.rpartition("/")[2]] == server.hidden()
            delivery.discard([staged[3]])
        assert server.hidden() == []


@pytest.mark.parametrize("permissions", ["elrdfmMT", "elr"])
def test_a_folder_that_takes_nothing_stops_the_job(tmp_path: Path, permissions: str) -> None:
    with (
        odd_server(tmp_path, permissions=permissions) as server,
        publisher(server.connection()) as delivery,
        pytest.raises(DeliveryRefused, match="even for a probe file") as caught,
    ):
        delivery.stage(items(6))
    assert "right to write" in caught.value.remedy


def test_an_account_that_may_not_rename_stops_the_job(tmp_path: Path) -> None:
    made = items(2)
    with odd_server(tmp_path, permissions="elradwmMT") as server:
        with publisher(server.connection()) as delivery:
            staged = delivery.stage(made).staged
            with pytest.raises(DeliveryRefused, match="even for a probe file"):
                delivery.publish(staged)
        assert server.visible() == {}


def test_a_server_that_keeps_names_is_refused_in_clear_words_and_old_files_stay(
    tmp_path: Path,
) -> None:
    old, new = items(2, seed=1), items(2, seed=2)
    with odd_server(tmp_path, keeps_names=True) as server:
        with publisher(server.connection()) as delivery:
            deliver(delivery, old)
            staged = delivery.stage(new).staged
            with pytest.raises(DeliveryRefused, match="lets no rename replace a file") as caught:
                delivery.publish(staged)
            delivery.discard(staged)
        assert expected(old) == server.visible()
        assert server.hidden() == []
    assert "AllowOverwrite" in caught.value.remedy


def test_a_server_that_only_says_that_it_renames_is_found_out(tmp_path: Path) -> None:
    with odd_server(tmp_path, lies=True) as server, publisher(server.connection()) as delivery:
        staged = delivery.stage(items(2)).staged
        with pytest.raises(DeliveryRefused, match="still there"):
            delivery.publish(staged)


def test_a_quota_that_is_used_up_stops_the_job_at_once(server: FtpSite) -> None:
    quota = Fault("STOR", "552 Quota exceeded", nth=0)
    with FaultProxy(server, quota) as proxy:
        with (
            publisher(server.connection(port=proxy.port)) as delivery,
            pytest.raises(DeliveryRefused, match="552 Quota exceeded"),
        ):
            delivery.stage(items(8))
        assert len(proxy.verbs("STOR")) <= 2


# Verifying.


@pytest.mark.parametrize("hash_verb", ["HASH", "XSHA256"])
def test_a_hash_is_used_where_the_server_offers_one(tmp_path: Path, hash_verb: str) -> None:
    made = items(4)
    with odd_server(tmp_path, hash=hash_verb) as server, publisher(server.connection()) as delivery:
        assert {"hash:sha256"} == {receipt.how for receipt in deliver(delivery, made)}


def test_a_hash_that_is_refused_is_not_claimed_by_the_receipt(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path, hash="XSHA256") as server,
        FaultProxy(server, Fault("XSHA256", "550 Not for you", nth=0)) as proxy,
        publisher(server.connection(port=proxy.port)) as delivery,
    ):
        assert {"size"} == {receipt.how for receipt in deliver(delivery, items(4))}


def test_a_flipped_bit_is_found_by_the_hash(tmp_path: Path) -> None:
    made = items(4)
    with (
        odd_server(tmp_path, hash="XSHA256") as server,
        FaultProxy(server, Fault("DATA", "flip", nth=2, after=5000)) as proxy,
    ):
        with publisher(server.connection(port=proxy.port)) as delivery:
            deliver(delivery, made)
        assert expected(made) == server.visible()
        assert server.hidden() == []


@pytest.mark.parametrize(
    ("without", "how"),
    [(["SIZE"], "size"), (["SIZE", "MLST", "MLSD"], "hash:sha256"), (["EPSV"], "size")],
)
def test_a_server_that_lacks_a_command_is_asked_in_another_way(
    tmp_path: Path, without: list[str], how: str
) -> None:
    made = items(6)
    with odd_server(tmp_path, without=without) as server:
        with publisher(server.connection()) as delivery:
            staged = delivery.stage(made).staged
            assert {how} == {receipt.how for receipt in delivery.publish(staged).receipts}
            settled = delivery.settle(intents(made, staged))
            assert len(settled.receipts) == 6
        assert expected(made) == server.visible()


def test_that_a_server_lacks_a_command_is_learnt_once_for_all_connections(tmp_path: Path) -> None:
    with odd_server(tmp_path, without=["SIZE"]) as server, FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port), connections=1) as delivery:
            deliver(delivery, items(2))
            delivery._pool._idle[0].interrupt()
            deliver(delivery, items(4))
        assert len(proxy.verbs("PASS")) == 2
        assert len(proxy.verbs("SIZE")) == 1


def test_a_server_that_can_say_nothing_of_what_it_stored_is_refused(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path, without=["SIZE", "MLST", "MLSD", "RETR"]) as server,
        publisher(server.connection()) as delivery,
        pytest.raises(DeliveryRefused, match="no way to say what it stored"),
    ):
        delivery.stage(items(1))


def test_active_mode_delivers_too(server: FtpSite) -> None:
    made = items(6)
    with publisher(server.connection(passive=False), connections=1) as delivery:
        deliver(delivery, made)
    assert expected(made) == server.visible()


# Logging in, and the pool.


def test_a_wrong_password_is_tried_once_whatever_the_pool(server: FtpSite) -> None:
    with FaultProxy(server) as proxy:
        wrong = server.connection(port=proxy.port, password="guess", timeout_seconds=30)
        with pytest.raises(LoginRefused, match="refuses user 'ferry'") as caught:
            publisher(wrong, connections=16).__enter__()
    assert proxy.verbs("PASS") == ["guess"]
    assert "guess" not in str(caught.value)


def test_a_password_that_stops_being_right_is_tried_once_more_at_most(server: FtpSite) -> None:
    changed = [Fault("PASS", "530 Login incorrect.", nth=nth) for nth in range(2, 20)]
    with FaultProxy(server, *changed) as proxy:
        with (
            publisher(server.connection(port=proxy.port), connections=8) as delivery,
            pytest.raises(LoginRefused),
        ):
            delivery.stage(items(40))
        assert len(proxy.verbs("PASS")) == 2


def test_a_login_without_an_answer_is_not_repeated(server: FtpSite) -> None:
    with FaultProxy(server, Fault("PASS", "lose", nth=0)) as proxy:
        with pytest.raises(FtpUnavailable, match="login"):
            publisher(server.connection(port=proxy.port), connections=4).__enter__()
        assert len(proxy.verbs("PASS")) == 1


UNHEARD = "530 No more of you today."


@pytest.mark.parametrize(
    "limit",
    [{"max_connections": 3}, {"crowded_530": 3}, {"crowded_530": 1, "crowded_words": UNHEARD}],
)
def test_a_pool_larger_than_the_servers_limit_makes_do_with_it(
    tmp_path: Path, limit: dict[str, int]
) -> None:
    made = items(60)
    with odd_server(tmp_path, **limit) as server:
        with publisher(server.connection(), connections=16) as delivery:
            deliver(delivery, made)
            assert delivery.connections <= 3
            deliver(delivery, made)
        assert expected(made) == server.visible()


def test_one_place_is_enough(tmp_path: Path) -> None:
    # Enough that the others ask for a place before the first one has done it all.
    made = items(120)
    with odd_server(tmp_path, max_connections=1) as server:
        with publisher(server.connection(), connections=4) as delivery:
            deliver(delivery, made)
            assert delivery.connections == 1
        assert expected(made) == server.visible()


def test_no_server_is_said_within_a_moment(server: FtpSite) -> None:
    nobody = server.connection(port=1)
    with pytest.raises(FtpUnavailable, match=r"127\.0\.0\.1:1, phase connect: Connection refused"):
        publisher(nobody).__enter__()


def test_a_firewall_before_the_passive_ports_is_told_from_a_dead_server(server: FtpSite) -> None:
    with (
        FaultProxy(server, Fault("DATA", "refuse", nth=0)) as proxy,
        publisher(
            server.connection(port=proxy.port, timeout_seconds=server.stall_seconds)
        ) as delivery,
        pytest.raises(
            DeliveryRefused, match="phase data connection: given up after 8 tries"
        ) as caught,
    ):
        delivery.stage(items(1))
    assert "passive ports" in caught.value.remedy


def test_a_bug_in_one_thread_is_not_waited_for_by_the_others(server: FtpSite) -> None:
    has_raised = threading.Event()

    def job(ftp: FerryFTP, item: int, _: bool) -> None:
        if item == 1:
            has_raised.set()
            raise ZeroDivisionError
        assert has_raised.wait(10)

    pool = Pool(lambda: connect(server.connection()), connections=2)
    with pytest.raises(ZeroDivisionError):
        pool.each(job, [0, 1])
    pool.close()


def test_an_error_of_ours_in_one_thread_ends_all(server: FtpSite) -> None:
    made = items(20)
    broken = [(consignment, None if n == 7 else data) for n, (consignment, data) in enumerate(made)]
    with publisher(server.connection(), connections=4) as delivery, pytest.raises(TypeError):
        delivery.stage(broken)
    assert server.hidden() == []
