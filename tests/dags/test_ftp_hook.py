from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fixtures.certificates import make_certificates
from fixtures.ferrying import deliver, expected, items
from fixtures.ftp_proxy import Fault, FaultProxy
from fixtures.ftp_site import PASSWORD, USER, FtpSite
from fixtures.odd_ftp import odd_server

from frameferry.errors import ConnectionUnresolved

HookMaker = Callable[..., Any]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FtpSite]:
    with odd_server(tmp_path_factory.mktemp("ftp") / "root") as server:
        yield server


@pytest.fixture
def hook_on(airflow_home: Path, monkeypatch: pytest.MonkeyPatch) -> HookMaker:
    """Make a hook on a connection that is defined as Airflow's users define it."""

    def make(
        port: int, conn_id: str = "archive_ftp", *, password: str = PASSWORD, **extra: Any
    ) -> Any:
        from frameferry.orchestration.ftp_hook import FerryFTPHook

        fields = {
            "conn_type": "ftp",
            "host": "127.0.0.1",
            "port": port,
            "login": USER,
            "password": password,
            "extra": {"timeout": 1, **extra},
        }
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return FerryFTPHook(conn_id)

    return make


def test_the_inherited_methods_work(server: FtpSite, hook_on: HookMaker, tmp_path: Path) -> None:
    local = tmp_path / "picture.jpg"
    local.write_bytes(b"\r\n\x00picture")
    with hook_on(server.port) as hook:
        hook.create_directory("/folder")
        hook.store_file("/folder/a.jpg", str(local))
        hook.store_file("/folder/b.jpg", io.BytesIO(b"other"), block_size=2)
        assert sorted(hook.list_directory("/folder")) == ["a.jpg", "b.jpg"]
        assert hook.describe_directory("/folder")["b.jpg"]["size"] == "5"
        assert hook.get_size("/folder/a.jpg") == 10
        assert isinstance(hook.get_mod_time("/folder/a.jpg"), dt.datetime)
        hook.rename("/folder/a.jpg", "/folder/c.jpg")
        received = io.BytesIO()
        hook.retrieve_file("/folder/c.jpg", received)
        assert received.getvalue() == local.read_bytes()
        hook.delete_file("/folder/b.jpg")
        hook.delete_file("/folder/c.jpg")
        hook.delete_directory("/folder")
    assert hook.conn is None


def test_the_form_and_the_type_are_the_providers(airflow_home: Path) -> None:
    from airflow.providers.ftp.hooks.ftp import FTPHook

    from frameferry.orchestration.ftp_hook import FerryFTPHook

    for name in ("conn_type", "conn_name_attr", "default_conn_name", "hook_name"):
        assert getattr(FerryFTPHook, name) == getattr(FTPHook, name)
    assert issubclass(FerryFTPHook, FTPHook)


def test_a_hook_keeps_one_connection_and_makes_a_new_one_when_it_is_dead(
    server: FtpSite, hook_on: HookMaker
) -> None:
    hook = hook_on(server.port)
    first = hook.get_conn()
    assert hook.get_conn() is first
    first.poison()
    assert hook.get_conn() is not first
    hook.close_conn()


def test_an_upload_that_breaks_does_not_put_later_answers_out_of_step(
    server: FtpSite, hook_on: HookMaker
) -> None:
    with (
        FaultProxy(server, Fault("DATA", "stall")) as proxy,
        hook_on(proxy.port, timeout=0.3) as hook,
    ):
        with pytest.raises(OSError, match="timed out"):
            hook.store_file("/broken.bin", io.BytesIO(b"x" * 1000))
        hook.store_file("/whole.bin", io.BytesIO(b"123"))
        assert hook.get_size("/whole.bin") == 3


@pytest.mark.parametrize("action", ["cut", "hang", "500 no"])
def test_closing_never_raises(server: FtpSite, hook_on: HookMaker, action: str) -> None:
    with FaultProxy(server, Fault("QUIT", action)) as proxy:
        hook = hook_on(proxy.port)
        hook.close_conn()
        hook.get_conn()
        hook.close_conn()
        hook.close_conn()


def test_extras_are_understood_as_text_from_a_uri_too(
    server: FtpSite, airflow_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from frameferry.orchestration.ftp_hook import FerryFTPHook

    secret = PASSWORD.replace(" ", "%20")
    uri = f"ftp://{USER}:{secret}@127.0.0.1:{server.port}/?passive=false&encoding=latin-1"
    monkeypatch.setenv("AIRFLOW_CONN_BY_URI", uri)
    with FerryFTPHook("by_uri") as hook:
        assert hook.get_conn().passiveserver is False
        assert hook.encoding == hook.get_conn().encoding == "latin-1"
        assert hook.get_conn().pwd() == "/"


def test_tls_comes_from_the_extras(hook_on: HookMaker, tmp_path: Path) -> None:
    ca, pem = make_certificates(tmp_path)
    with (
        odd_server(tmp_path / "root", tls="explicit", certificate=str(pem), reuse=True) as host,
        hook_on(host.port, tls="explicit", ca_cert=str(ca)) as hook,
    ):
        hook.store_file("/secret.bin", io.BytesIO(b"12"))
        assert hook.get_conn().is_protected
        assert hook.get_size("/secret.bin") == 2


def test_a_publisher_delivers_over_hooks(server: FtpSite, hook_on: HookMaker) -> None:
    from frameferry.delivery.publisher import Publisher
    from frameferry.orchestration.ftp_hook import FerryFTPHook

    hook_on(server.port)
    made = items(10, base="/over-hooks")
    with Publisher(
        lambda: FerryFTPHook("archive_ftp").get_conn(),
        base="/over-hooks",
        connections=3,
        part_tag="e-1-1",
    ) as delivery:
        deliver(delivery, made)
    assert expected(made).items() <= server.visible().items()


def test_the_forms_button_says_what_is_wrong_and_not_the_password(
    server: FtpSite, hook_on: HookMaker
) -> None:
    assert hook_on(server.port).test_connection() == (True, "Connection successfully tested")
    works, words = hook_on(server.port, password="wrong guess").test_connection()
    assert not works
    assert "refuses user" in words
    assert "wrong guess" not in words


def test_a_connection_that_does_not_exist_names_itself(airflow_home: Path) -> None:
    from frameferry.orchestration.ftp_hook import FerryFTPHook

    with pytest.raises(ConnectionUnresolved, match="no_such_ftp"):
        FerryFTPHook("no_such_ftp").get_conn()
