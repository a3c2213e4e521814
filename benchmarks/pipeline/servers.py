"""The servers of a benchmark: a home of embedded ones, and an FTP server near by or far away."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from fixtures.ftp_site import PASSWORD, USER
from fixtures.real_ftp import real_server

from benchmarks.delivery_latency import THEIRS, delay, ip
from frameferry.stack import stack

ROOT = Path(__file__).parents[2]
SCHEDULED_PIPELINES = "scheduled"
"""The folder whose pipelines Airflow sees: others must not be carried by it."""


@dataclass(frozen=True)
class FtpSite:
    """An FTP server by its Airflow connection, and the folder that its user sees as `/`."""

    connection: str
    host: str
    port: int
    user: str
    password: str
    root: Path

    def announced(self) -> FtpSite:
        """Make its connection known to everything that is started from now on."""
        content = {
            "conn_type": "ftp",
            "host": self.host,
            "port": self.port,
            "login": self.user,
            "password": self.password,
        }
        os.environ[f"AIRFLOW_CONN_{self.connection.upper()}"] = json.dumps(content)
        return self

    def files(self, folder: str) -> list[Path]:
        """List what a consumer sees below a folder."""
        found = (self.root / folder.lstrip("/")).rglob("*")
        return [path for path in found if path.is_file() and not path.name.startswith(".")]


@contextmanager
def embedded(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Run embedded servers in a home of their own; stop them whatever happens."""
    with tempfile.TemporaryDirectory(dir=folder, prefix="frameferry-benchmark-") as work:
        home = Path(work)
        os.environ["FRAMEFERRY_HOME"] = work
        os.environ["FRAMEFERRY_PIPELINES"] = str(home / SCHEDULED_PIPELINES)
        os.environ.pop("FRAMEFERRY_LEDGER_URL", None)
        (home / SCHEDULED_PIPELINES).mkdir()
        try:
            stack.up(names)
            os.environ.update(stack.environment())
            yield home
        finally:
            stack.down()


def bootstrap() -> str:
    return str(stack.status()["kafka"]["bootstrap_servers"])


@contextmanager
def ftp_server(kind: str, folder: Path) -> Iterator[FtpSite]:
    """Run vsftpd with its files in *folder*, or give the embedded server, which is up."""
    if kind == "embedded":
        door = stack.status()["ftp"]
        names = ("host", "port", "user", "password")
        yield FtpSite("archive_ftp", *(door[name] for name in names), root=Path(door["root"]))
        return
    with real_server(kind, folder=str(folder)) as site:
        yield FtpSite("near_ftp", site.host, site.port, USER, PASSWORD, site.root).announced()


@contextmanager
def far_ftp_server(kind: str, folder: Path, round_trip_ms: int) -> Iterator[FtpSite]:
    """Run an FTP server in a network of its own, every packet to and from it held up; as root."""
    near, far = (f"ferry-{name}-{os.getpid()}" for name in ("near", "far"))
    ip("netns", "attach", near, str(os.getpid()))
    ip("netns", "add", far)
    try:
        with (
            delay(near, far, round_trip_ms / 2000),
            real_server(
                kind, folder=str(folder), host=THEIRS, within=("ip", "netns", "exec", far)
            ) as site,
        ):
            yield FtpSite("far_ftp", site.host, site.port, USER, PASSWORD, site.root).announced()
    finally:
        for name in (near, far):
            ip("netns", "del", name)
