"""A picture and its sidecar: the sidecar is there first, and one receipt stands for both."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.ferrying import Item, intents, items, publisher
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import FtpSite
from fixtures.odd_ftp import odd_server

from frameferry.delivery.parts import sidecar_part, sidecar_path
from frameferry.delivery.renaming import Staged
from frameferry.domain.records import Intent
from frameferry.errors import FtpUnavailable


def pairs(count: int) -> list[Item]:
    return [
        (replace(row, sidecar=f'{{"record": {row.record_id}}}\n'.encode()), data)
        for row, data in items(count)
    ]


def expected(made: list[Item]) -> dict[str, bytes]:
    pictures = {row.remote_path: data for row, data in made}
    return pictures | {sidecar_path(row.remote_path): row.sidecar or b"" for row, _ in made}


def open_intents(made: list[Item], staged: list[Staged]) -> list[Intent]:
    contents = {row.record_id: row.sidecar for row, _ in made}
    return [replace(each, sidecar=contents[each.record_id]) for each in intents(made, staged)]


def on_disk(server: FtpSite, path: str) -> Path:
    return server.root / path.removeprefix("/")


def test_both_arrive_and_one_receipt_stands_for_them(server):
    made = pairs(12)
    with publisher(server.connection(), connections=3) as delivery:
        staged = delivery.stage(made).staged
        assert {} == server.visible()
        assert 24 == len(server.hidden())
        published = delivery.publish(staged)
    assert expected(made) == server.visible()
    assert [] == server.hidden()
    assert list(range(12)) == sorted(receipt.record_id for receipt in published.receipts)


def test_no_picture_is_ever_seen_without_its_sidecar(server):
    made = pairs(20)
    with FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port), connections=2) as delivery:
            delivery.publish(delivery.stage(made).staged)
        order = {path: place for place, path in enumerate(proxy.verbs("RNTO"))}
    for row, _ in made:
        assert order[sidecar_path(row.remote_path)] < order[row.remote_path]


def test_parts_that_no_intent_names_are_both_deleted(server):
    made = pairs(3)
    with publisher(server.connection()) as delivery:
        delivery.discard(delivery.stage(made).staged)
        assert [] == server.hidden()


def test_a_picture_that_cannot_be_uploaded_takes_its_sidecar_along(tmp_path):
    with odd_server(tmp_path / "root", refuse=r"00001\.jpg\.e-1-1-\d+\+json") as server:
        with publisher(server.connection()) as delivery:
            result = delivery.stage(pairs(3))
            assert [1] == [refusal.record_id for refusal in result.refused]
            delivery.publish(result.staged)
        assert 4 == len(server.visible())
        assert [] == server.hidden()


def test_a_sidecar_that_cannot_be_renamed_keeps_its_picture_back(tmp_path):
    with (
        odd_server(tmp_path / "root", refuse_final=r"00001\.jpg\.json") as server,
        publisher(server.connection()) as delivery,
    ):
        published = delivery.publish(delivery.stage(pairs(3)).staged)
        assert [1] == [refusal.record_id for refusal in published.refused]
        assert 4 == len(server.visible())
        assert not [path for path in server.visible() if "00001" in path]


def test_a_picture_that_cannot_be_renamed_leaves_no_sidecar_behind(tmp_path):
    with (
        odd_server(tmp_path / "root", refuse_final=r"00001\.jpg$") as server,
        publisher(server.connection()) as delivery,
    ):
        published = delivery.publish(delivery.stage(pairs(3)).staged)
        assert [1] == [refusal.record_id for refusal in published.refused]
        assert 4 == len(server.visible())
        assert not [path for path in server.visible() if "00001" in path]


def dead_after(server: FtpSite, made: list[Item], renames: str) -> list[Intent]:
    """Leave what an attempt leaves that died after so many renames."""
    with publisher(server.connection()) as dead:
        staged = dead.stage(made).staged
        for one in staged:
            assert one.sidecar is not None
            for each in {"none": [], "sidecar": [one.sidecar], "both": [one.sidecar, one]}[renames]:
                on_disk(server, each.part_path).rename(on_disk(server, each.remote_path))
    return open_intents(made, staged)


def test_a_picture_refused_while_settling_takes_along_the_sidecar_of_a_dead_attempt(tmp_path):
    made = pairs(3)
    with odd_server(tmp_path / "root", refuse_final=r"00001\.jpg$") as server:
        dead = dead_after(server, made, "sidecar")
        with publisher(server.connection()) as delivery:
            settled = delivery.settle(dead)
        assert [1] == [refusal.record_id for refusal in settled.refused]
        assert sorted(server.visible()) == sorted(expected([made[0], made[2]]))


@pytest.mark.parametrize("renames", ["none", "sidecar", "both"])
@pytest.mark.parametrize("after", ["kept", "taken"])
def test_whatever_a_dead_attempt_left_is_settled_without_sending_again(server, renames, after):
    made = pairs(4)
    left = dead_after(server, made, renames)
    with publisher(server.connection(), tag="e-1-2", after=after) as delivery:
        settled = delivery.settle(left)
    assert ([], [0, 1, 2, 3]) == (settled.resend, sorted(r.record_id for r in settled.receipts))
    assert expected(made) == server.visible()
    assert [] == server.hidden()


@pytest.mark.parametrize(
    ("renames", "taken", "after", "resent"),
    [
        ("sidecar", ["sidecar"], "taken", False),
        ("sidecar", ["sidecar"], "kept", True),
        ("both", ["sidecar"], "taken", False),
        ("both", ["sidecar"], "kept", True),
        ("both", ["picture"], "taken", False),
        ("both", ["picture"], "kept", True),
        ("both", ["sidecar", "picture"], "taken", False),
    ],
)
def test_what_is_gone_was_taken_or_is_sent_again(server, renames, taken, after, resent):
    made = pairs(1)
    [intent] = dead_after(server, made, renames)
    paths = {"picture": intent.remote_path, "sidecar": sidecar_path(intent.remote_path)}
    for name in taken:
        on_disk(server, paths[name]).unlink()
    with publisher(server.connection(), tag="e-1-2", after=after) as delivery:
        settled = delivery.settle([intent])
        assert ([0] if resent else []) == settled.resend
        assert 1 - resent == len(settled.receipts)
        delivery.discard_parts(settled.leftovers)
    assert [] == server.hidden()


@pytest.mark.parametrize("which", ["picture", "sidecar"])
def test_a_damaged_part_of_either_sends_both_again(server, which):
    made = pairs(1)
    [intent] = dead_after(server, made, "none")
    parts = {"picture": intent.part_path, "sidecar": sidecar_part(intent.part_path)}
    on_disk(server, parts[which]).write_bytes(b"half")
    with publisher(server.connection(), tag="e-1-2") as delivery:
        settled = delivery.settle([intent])
        assert [0] == settled.resend
        assert {} == server.visible()
        delivery.discard_parts(settled.leftovers)
        delivery.publish(delivery.stage(made).staged)
    assert expected(made) == server.visible()
    assert [] == server.hidden()


def test_a_sidecar_of_an_older_verdict_is_not_taken_for_the_new_one(server):
    made = pairs(1)
    [intent] = dead_after(server, made, "both")
    with publisher(server.connection(), tag="e-1-2") as delivery:
        judged_anew = replace(intent, sidecar=b'{"record": 0, "label": "other"}\n')
        assert [0] == delivery.settle([judged_anew]).resend


@pytest.mark.parametrize("action", ["cut", "lose"])
@pytest.mark.parametrize("nth", [1, 2, 3, 5, 8])
def test_lost_renames_are_made_good_within_the_attempt(server, action, nth):
    made = pairs(4)
    with FaultProxy(server, Fault("RNTO", action, nth=nth)) as proxy:
        with publisher(server.connection(port=proxy.port), connections=2) as delivery:
            published = delivery.publish(delivery.stage(made).staged)
        assert 4 == len(published.receipts)
    assert expected(made) == server.visible()
    assert [] == server.hidden()


def test_a_zombies_sidecar_that_is_gone_stops_it(server):
    made = pairs(1)
    with publisher(server.connection()) as delivery:
        staged = delivery.stage(made).staged
        on_disk(server, sidecar_part(staged[0].part_path)).unlink()
        with pytest.raises(FtpUnavailable, match="gone before its rename"):
            delivery.publish(staged)
    assert {} == server.visible()
