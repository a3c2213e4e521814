"""Three hundred hostile names on a real server: each arrives as named, or is refused unsent."""

from __future__ import annotations

import os
import re

import pytest
from fixtures.ferrying import Item, deliver, expected, publisher
from fixtures.ftp_proxy import FaultProxy
from fixtures.ftp_site import FtpSite
from fixtures.hostile_names import hostile_items, hostile_names, raw_items

from frameferry.domain.naming import Illegal
from frameferry.errors import UnsafePath
from frameferry.ftp.client import FerryFTP, connect
from frameferry.ftp.fitness.checks import SMALL
from frameferry.ftp.listing import list_folder
from frameferry.ftp.paths import check_path, has_control_character

pytestmark = pytest.mark.ftp_ways("none")
"""Names are the same under TLS, which only takes longer."""
BASE = "/press-a"
FEW = 8
EMPTY_FOLDER = "empty"
"""vsftpd wants one beside its root."""
SAID_BY_US = re.compile(
    r"AUTH|USER|PASS|FEAT|TYPE|PBSZ|PROT|OPTS|EPSV|MKD|STOR|SIZE|HASH|RNFR|RNTO|DELE|QUIT|NOOP"
    r"|CWD|MLSD"
)


@pytest.fixture
def server(running_site: FtpSite) -> FtpSite:
    """Give a server with a file beside the base, which its user could overwrite."""
    running_site.empty()
    victim = running_site.root / "victim.jpg"
    victim.write_bytes(SMALL)
    owner = running_site.root.stat()
    os.chown(victim, owner.st_uid, owner.st_gid)
    return running_site


def assert_nothing_escaped(server: FtpSite, proxy: FaultProxy) -> None:
    """The file beside the base is untouched, and no command went out that is not ours."""
    assert SMALL == (server.root / "victim.jpg").read_bytes()
    assert {"press-a", "victim.jpg"} == {path.name for path in server.root.iterdir()}
    around = {path.name for path in server.root.parent.iterdir() if path.is_dir()}
    assert {"root"} <= around <= {"root", EMPTY_FOLDER}
    for verb, argument in proxy.log:
        assert SAID_BY_US.fullmatch(verb), (verb, argument)
        assert "victim" not in argument


@pytest.mark.parametrize("policy", ["encode", "replace", "hash"])
def test_every_hostile_name_arrives_under_its_harmless_one(
    server: FtpSite, policy: Illegal
) -> None:
    made = [
        *hostile_items(BASE, policy),
        *hostile_items(f"{BASE}/by-label", policy, "{label}/{partition}-{offset}"),
    ]
    made = [numbered(n, one) for n, one in enumerate(made)]
    with FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port), connections=4) as delivery:
            receipts = deliver(delivery, made)
        assert_nothing_escaped(server, proxy)
    assert len(made) == len(receipts)
    assert expected(made) | {"/victim.jpg": SMALL} == server.visible()
    assert [] == server.hidden()


def numbered(record_id: int, one: Item) -> Item:
    consignment, data = one
    return type(consignment)(
        record_id, 0, record_id, consignment.remote_path, consignment.size_bytes, consignment.sha256
    ), data


def test_a_name_that_naming_let_through_raw_is_delivered_as_it_is_or_refused_unsent(
    server: FtpSite,
) -> None:
    # The ledger gives a name to one record only; which of two came last would be chance here.
    raw = list({item[0].remote_path: item for item in raw_items(BASE)}.values())
    safe = [one for one in raw if is_safe(one[0].remote_path) and one[0].remote_path != BASE]
    with FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port), connections=2) as delivery:
            staged = delivery.stage(raw)
            published = delivery.publish(staged.staged)
            onto_folders = {refusal.record_id for refusal in published.refused}
            delivery.discard([one for one in staged.staged if one.record_id in onto_folders])
        assert_nothing_escaped(server, proxy)
    refused = {refusal.record_id: refusal.reason for refusal in staged.refused}
    unsafe = {one[0].record_id for one in raw if not is_safe(one[0].remote_path)}
    assert unsafe == {n for n, reason in refused.items() if reason == "unsafe name"}
    assert 60 < len(unsafe)
    assert 150 < len(published.receipts)
    delivered = {receipt.record_id for receipt in published.receipts}
    files = {
        f"/{path.relative_to(server.root)}": path.read_bytes()
        for path in (server.root / "press-a").rglob("*")
        if path.is_file()
    }
    sent = [(row.remote_path, data) for row, data in safe if row.record_id in delivered]
    assert {as_written(server, path): data for path, data in sent} == files
    assert len(raw) == len(refused) + len(delivered) + len(onto_folders)


def as_written(server: FtpSite, path: str) -> str:
    """Pure-FTPd writes `_` for blanks at the end of a line; naming never ends a name so."""
    bare = path.rstrip(" ") if server.kind == "pureftpd" else path
    return bare + "_" * (len(path) - len(bare))


def is_safe(path: str) -> bool:
    try:
        check_path(path, BASE)
    except UnsafePath:
        return False
    return True


@pytest.mark.parametrize("verb", ["DELE", "RNFR", "RNTO", "MKD", "RMD", "SIZE", "CWD", "MLSD"])
def test_no_raw_name_makes_a_command_of_its_own(server: FtpSite, verb: str) -> None:
    (server.root / "press-a").mkdir()
    # After each folder that is not there Pure-FTPd waits longer.
    is_patient = verb != "CWD" or server.kind != "pureftpd"
    names = hostile_names() if is_patient else hostile_names()[:FEW]
    with FaultProxy(server) as proxy:
        ftp = connect(server.connection(port=proxy.port))
        ftp.confine(BASE)
        said = [name.text for name in names if was_said(ftp, verb, name.text)]
        assert ftp.is_in_step
        ftp.farewell()
        arguments = proxy.verbs(verb)
    assert len(said) == len(arguments)
    assert all(argument.startswith(f"{BASE}/") or argument == BASE for argument in arguments)
    assert SMALL == (server.root / "victim.jpg").read_bytes()


def was_said(ftp: FerryFTP, verb: str, name: str) -> bool:
    try:
        ftp.ask(verb, f"{BASE}/{name}")
    except UnsafePath:
        return False
    return True


def test_what_lies_there_is_listed_by_its_name(server: FtpSite) -> None:
    folder = server.root / "press-a"
    folder.mkdir()
    names = {one.text for one in hostile_names() if fits_a_disk(one.text)}
    for name in names:
        (folder / name).write_bytes(b"x")
    ftp = connect(server.connection())
    ftp.confine(BASE)
    listed = {name for name, _ in list_folder(ftp, BASE)}
    # Pure-FTPd does not show control characters, which none of our names has.
    assert {name for name in names if not has_control_character(name)} <= listed
    assert listed <= names if server.kind != "pureftpd" else len(listed) <= len(names)
    ftp.farewell()


def fits_a_disk(name: str) -> bool:
    """One component, of characters that a line of a listing can hold."""
    is_one_line = 1 == len(name.splitlines()) and not re.search(r"[\r\n\0]", name)
    return bool(
        is_one_line
        and "/" not in name
        and name not in {".", ".."}
        and not re.search(r"[\ud800-\udfff]", name)
        and len(name.encode()) <= 255
    )
