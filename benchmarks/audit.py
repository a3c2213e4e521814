"""
Audit a pipeline of a million delivered files, which lie on a real FTP server.

    python -m benchmarks.audit                        both databases; 3 GB of disk, ten minutes
    python -m benchmarks.audit --records 200000 --databases sqlite --servers pyftpdlib --folders 1

The command itself, with Kafka left out, reading 10 files back: its seconds by the clock, its own
processor seconds, and its peak memory in MB. Files are links to few, which no list shows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Final

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.ferry import FRAMEFERRY
from fixtures.ftp_site import PASSWORD, USER, FtpSite
from fixtures.large_ledger import EACH, analyse, fill, without_foreign_keys
from fixtures.ledgers import DATABASES, PIPELINE, register
from fixtures.odd_ftp import odd_server
from fixtures.postgres import postgres_server
from fixtures.real_ftp import real_server
from sqlalchemy import Connection, text

from frameferry.ledger.opening import open_ledger

SERVERS: Final = ("vsftpd", "pyftpdlib")
LINKS: Final = 30_000
"""Names of one file: file systems allow some ten thousand."""
SIZE_BYTES: Final = 1000
"""As `large_ledger` has it."""
_FOLDER: Final = {"sqlite": "printf('%03d', {})", "postgresql": "lpad(CAST({} AS text), 3, '0')"}
_OFFSET: Final = {
    "sqlite": """printf('%020d', "offset")""",
    "postgresql": """lpad(CAST("offset" AS text), 20, '0')""",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--folders", type=int, default=20, help="that they lie in")
    parser.add_argument("--databases", nargs="+", default=list(DATABASES), choices=DATABASES)
    parser.add_argument("--servers", nargs="+", default=["vsftpd"], choices=SERVERS)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()))
    options = parser.parse_args()
    for kind in options.servers:
        with (
            tempfile.TemporaryDirectory(dir=options.folder, prefix="frameferry-audit-") as work,
            served(kind, Path(work)) as site,
        ):
            put_files(site.root / PIPELINE, options.records, options.folders)
            for database in options.databases:
                with ExitStack() as stack:
                    url = made(stack, database, Path(work))
                    put_rows(url, site, options.records, options.folders)
                    told = measured(Path(work), url, site)
                    print(json.dumps({"server": kind, "database": database, **told}), flush=True)


@contextmanager
def served(kind: str, folder: Path) -> Iterator[FtpSite]:
    folder.chmod(0o711)  # the server's own user goes through it
    if kind == "vsftpd":
        with real_server(kind, folder=str(folder)) as site:
            yield site
    else:
        with odd_server(folder / "root") as site:
            yield site


def made(stack: ExitStack, database: str, folder: Path) -> str:
    if database == "postgresql":
        return stack.enter_context(postgres_server()).empty_database()
    return f"sqlite:///{folder}/ledger.db"


def put_files(base: Path, records: int, folders: int) -> None:
    """Make a name for each record, as the default template would."""
    store = base.parent / ".store"
    store.mkdir(mode=0o700)
    for number in range(folders):
        (base / f"{number:03d}").mkdir(parents=True)
    for offset in range(records):
        source = store / str(offset // LINKS)
        if not offset % LINKS:
            source.write_bytes(b"x" * SIZE_BYTES)
        name = f"cam_{offset}_0-{offset:020d}.jpg"
        os.link(source, base / f"{offset * folders // records:03d}" / name)


def put_rows(url: str, site: FtpSite, records: int, folders: int) -> None:
    """Fill the ledger with rows of these files, each with a receipt, and a census a batch."""
    with closing(open_ledger(url)) as ledger:
        register(ledger, partitions=1)
        fill(ledger, records // EACH)
        with without_foreign_keys(ledger) as connection:
            name_files(connection, site, records, folders)
            count(connection, records)
        analyse(ledger)


def name_files(connection: Connection, site: FtpSite, records: int, folders: int) -> None:
    dialect = connection.dialect.name
    folder = _FOLDER[dialect].format(f'"offset" * {folders} / {records}')
    path = f"'/{PIPELINE}/' || {folder} || '/cam_' || \"offset\" || '_0-' || {_OFFSET[dialect]}"
    connection.execute(
        text(
            "UPDATE record SET destination = :destination, sha256 = :digest,"
            f" remote_path = {path} || '.jpg'"
        ),
        {
            "destination": site.connection().destination,
            "digest": hashlib.sha256(b"x" * SIZE_BYTES).hexdigest(),
        },
    )


def count(connection: Connection, records: int) -> None:
    for start in range(0, records, EACH):
        offsets = "".join(f"{at}\n" for at in range(start, start + EACH))
        connection.execute(
            text("UPDATE batch_range SET offsets_digest = :digest WHERE start_offset = :start"),
            {"digest": hashlib.sha256(offsets.encode()).hexdigest(), "start": start},
        )


def measured(folder: Path, url: str, site: FtpSite) -> dict[str, object]:
    """Run the command; it must find that all is well."""
    pipelines = folder / "pipelines"
    pipelines.mkdir(exist_ok=True)
    content = {
        "pipeline": PIPELINE,
        "kafka": {"connection": "plant_kafka", "topic": "t"},
        "model": "none",
        "deliver": {"connection": "archive_ftp", "base": f"/{PIPELINE}"},
    }
    (pipelines / f"{PIPELINE}.yaml").write_text(yaml.safe_dump(content))
    ftp = {
        "conn_type": "ftp",
        "host": site.host,
        "port": site.port,
        "login": USER,
        "password": PASSWORD,
    }
    environment = {
        **os.environ,
        "FRAMEFERRY_HOME": str(folder),
        "FRAMEFERRY_PIPELINES": str(pipelines),
        "FRAMEFERRY_LEDGER_URL": url,
        "AIRFLOW_CONN_ARCHIVE_FTP": json.dumps(ftp),
        "TMPDIR": str(folder),
    }
    began = time.monotonic()
    out = folder / "report.json"
    argv = [FRAMEFERRY, "audit", PIPELINE, "--without-kafka", "--json"]
    actions = [(os.POSIX_SPAWN_OPEN, 1, str(out), os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)]
    _, status, used = os.wait4(os.posix_spawn(argv[0], argv, environment, file_actions=actions), 0)
    report = json.loads(out.read_text() or '{"findings": "an error, see above"}')
    assert os.waitstatus_to_exitcode(status) == 0, report["findings"]
    return {
        "records": report["records"],
        "files": report["files"],
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_megabytes": round(used.ru_maxrss * 1024 / 10**6),
    }


if __name__ == "__main__":
    main()
