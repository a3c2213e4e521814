"""An account that may do exactly what docs/configuration.md asks for, and one that may not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from fixtures.ferrying import deliver, expected, intents, items, publisher
from fixtures.ftp_proxy import FaultProxy
from fixtures.ftp_site import FtpSite, Tls
from fixtures.odd_ftp import odd_server
from fixtures.real_ftp import real_server

from frameferry.errors import DeliveryRefused, FrameferryError, FtpUnavailable
from frameferry.ftp.client import connect
from frameferry.ftp.listing import list_folder
from frameferry.ledger.opening import open_ledger
from frameferry.operations.probe import probe

PAGE = (Path(__file__).parents[2] / "docs/configuration.md").read_text(encoding="utf-8")
NEEDED = "lfdmw"
"""pyftpdlib's letters for the page's table: list, rename, delete, make folders, store."""
MADE = items(3)
FOLDER = MADE[0][0].remote_path.rpartition("/")[0]


def documented_commands() -> list[str]:
    (listed,) = re.findall(r"^cmds_allowed=([A-Z0-9,]+)$", PAGE, re.MULTILINE)
    return str(listed).split(",")


def carry(server: FtpSite, port: int | None = None) -> None:
    """Deliver, deliver again over it, settle what a dead attempt left, discard, and list."""
    connection = server.connection(**({"port": port} if port else {}))
    for tag in ("e-1-1", "e-1-2"):
        with publisher(connection, tag=tag) as delivery:
            deliver(delivery, MADE)
    with publisher(connection, tag="e-1-3") as dead:
        left = intents(MADE, dead.stage(MADE).staged)
    with publisher(connection, tag="e-1-4") as delivery:
        assert 3 == len(delivery.settle(left).receipts)
        delivery.discard(delivery.stage(MADE).staged)
    with closing(connect(connection)) as ftp:
        assert 2 == len(list(list_folder(ftp, FOLDER)))
    assert expected(MADE) == server.visible()
    assert [] == server.hidden()


def test_a_delivery_needs_these_rights_and_these_commands_only(tmp_path: Path) -> None:
    with odd_server(tmp_path / "root", permissions=NEEDED) as server, FaultProxy(server) as proxy:
        carry(server, proxy.port)
        sent = {verb for verb, _ in proxy.log}
    assert sent <= set(documented_commands())


@pytest.mark.parametrize(
    ("right", "kind", "words"),
    [
        ("w", DeliveryRefused, "right to write"),
        ("m", DeliveryRefused, "right to write"),
        ("f", DeliveryRefused, "right to write, rename"),
        ("l", FtpUnavailable, "does not show a part"),
    ],
)
def test_the_lack_of_a_right_is_said(
    tmp_path: Path, right: str, kind: type[FrameferryError], words: str
) -> None:
    permissions = NEEDED.replace(right, "")
    with (
        odd_server(tmp_path / "root", permissions=permissions) as server,
        pytest.raises(kind, match=words),
    ):
        carry(server)


def test_without_the_right_to_delete_files_come_and_parts_of_dead_attempts_stay(
    tmp_path: Path,
) -> None:
    with odd_server(tmp_path / "root", permissions=NEEDED.replace("d", "")) as server:
        with publisher(server.connection()) as delivery:
            deliver(delivery, MADE)
            delivery.discard(delivery.stage(MADE).staged)
        assert expected(MADE) == server.visible()
        assert 3 == len(server.hidden())


@contextmanager
def allowing(kind: str, tls: Tls, root: Path, certificates: tuple[Path, Path]) -> Iterator[FtpSite]:
    """Run a server that takes the documented commands and no other."""
    allowed = documented_commands()
    if kind == "vsftpd":
        lines = (f"cmds_allowed={','.join(allowed)}",)
        with real_server(kind, tls=tls, certificates=certificates, lines=lines) as site:
            yield site
        return
    options = {} if tls == "none" else {"tls": tls, "certificate": str(certificates[1])}
    with odd_server(root, **options, only=allowed, permissions=NEEDED) as site:
        yield replace(site, tls=tls, ca_cert=certificates[0])


@pytest.mark.ftp_kinds("pyftpdlib", "vsftpd")
@pytest.mark.parametrize("tls", ["none", "explicit"])
def test_a_server_that_takes_the_documented_commands_only_is_delivered_to(
    server_kind: str, tls: Tls, tmp_path: Path, certificates: tuple[Path, Path]
) -> None:
    with allowing(server_kind, tls, tmp_path / "root", certificates) as server:
        carry(server)


def test_a_server_that_does_not_show_lengths_is_told_what_is_missing(tmp_path: Path) -> None:
    with (
        odd_server(tmp_path / "root", permissions=NEEDED.replace("l", "")) as server,
        closing(open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")) as ledger,
    ):
        found = probe(ledger, server.connection(), base="/press/a", names=0)
    assert ["give the right to list, which SIZE and MLST need"] == list(found.settings)
