"""Data connections in every mode, and the older commands where the newer are not understood."""

from __future__ import annotations

from pathlib import Path

import pytest
from fixtures.ferrying import deliver, expected, items, publisher
from fixtures.ftp_proxy import FaultProxy
from fixtures.odd_ftp import odd_server


@pytest.mark.parametrize(
    ("settings", "without", "asked", "unasked"),
    [
        ({}, [], {"EPSV"}, {"PASV", "EPRT", "PORT"}),
        ({}, ["EPSV"], {"EPSV", "PASV"}, {"EPRT", "PORT"}),
        ({"epsv": False}, [], {"PASV"}, {"EPSV", "EPRT", "PORT"}),
        ({"passive": False}, [], {"EPRT"}, {"EPSV", "PASV", "PORT"}),
        ({"passive": False}, ["EPRT"], {"EPRT", "PORT"}, {"EPSV", "PASV"}),
        ({"passive": False, "epsv": False}, [], {"PORT"}, {"EPSV", "PASV", "EPRT"}),
    ],
)
def test_every_mode_delivers(
    tmp_path: Path,
    settings: dict[str, bool],
    without: list[str],
    asked: set[str],
    unasked: set[str],
) -> None:
    made = items(4)
    with odd_server(tmp_path / "root", without=without) as server, FaultProxy(server) as proxy:
        with publisher(server.connection(port=proxy.port, **settings), connections=1) as delivery:
            deliver(delivery, made)
        assert expected(made) == server.visible()
        assert all(proxy.verbs(verb) for verb in asked)
        assert not any(proxy.verbs(verb) for verb in unasked)
        assert all(1 == len(proxy.verbs(verb)) for verb in {"EPSV", "EPRT"} & asked if without)
