from __future__ import annotations

import pytest

from frameferry.ftp.pipelining import depth_of


@pytest.mark.parametrize(
    ("greeting", "depth"),
    [
        ("220 (vsFTPd 3.0.5)", "deep"),
        ("220 ProFTPD Server (Debian) [::ffff:10.0.0.1]", "deep"),
        ("220---------- Welcome to Pure-FTPd [privsep] [TLS] ----------\n220 idle", "deep"),
        ("220 pyftpdlib 2.2.0 ready.", "safe"),
        ("220 FileZilla Server 1.8.0", "safe"),
        ("220 Welcome to the archive", "safe"),
        ("220 Microsoft FTP Service", "off"),
        ("220 MikroTik FTP server ready", "off"),
    ],
)
def test_a_greeting_gives_away_what_a_server_bears(greeting: str, depth: str) -> None:
    assert depth == depth_of("auto", greeting)


@pytest.mark.parametrize("chosen", ["deep", "safe", "off"])
def test_what_is_chosen_is_done_whatever_the_greeting(chosen: str) -> None:
    assert chosen == depth_of(chosen, "220 (vsFTPd 3.0.5)")
    assert chosen == depth_of(chosen, "220 Microsoft FTP Service")
