"""
Verified delivery to vsftpd against lftp and rclone, interleaved; as root, on Debian or Ubuntu.

    scripts/unpack-debian vsftpd lftp rclone
    .venv/bin/python benchmarks/delivery.py [--kilobytes 20 200 1000 5000] [--connections 4]
        [--rounds 5] [--folder /dev/shm]

Each job is whole: log-ins, uploads, and everything each does by itself. frameferry and ftplib send
to a part, ask SIZE and rename; frameferry in groups as the deliver step does, from memory, where
its pictures are. lftp (`mirror -R`) and rclone (`copy`) read files of --folder and write under
final names; rclone compares sizes afterwards, lftp does not. All names are new. Prints the median
MB/s, how many times that of each frameferry's is, and the rounds.
"""

from __future__ import annotations

import argparse
import ftplib
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.ftp_site import PASSWORD, USER, FtpSite
from fixtures.real_ftp import debian_environment, debian_root, real_server

from frameferry.delivery.publisher import Publisher
from frameferry.domain.records import Consignment
from frameferry.ftp.client import connect
from frameferry.pipeline.deliver.grouping import groups

Picture = tuple[Consignment, bytes]


@dataclass(frozen=True)
class Load:
    """The same pictures as files of *source* and in memory, and a folder to send them to."""

    source: Path
    base: str
    pictures: list[Picture]


Side = Callable[[FtpSite, Load, int], None]
JUDGED = "0" * 64
"""Any digest: judging makes it, and vsftpd offers no hash to compare it with."""
JOB_BYTES = {20: 20e6, 200: 100e6, 1000: 200e6, 5000: 400e6}


def main() -> None:
    options = parse()
    for kilobytes in options.kilobytes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            source = Path(folder)
            count = make_files(source, kilobytes * 1000)
            compare(options, source, kilobytes, count)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[20, 200, 1000, 5000])
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="/dev/shm")
    return parser.parse_args()


def make_files(source: Path, size_bytes: int) -> int:
    count = int(JOB_BYTES.get(size_bytes // 1000, 200e6) / size_bytes)
    for number in range(count):
        (source / f"picture_{number:06d}.jpg").write_bytes(os.urandom(size_bytes))
    return count


def compare(options: argparse.Namespace, source: Path, kilobytes: int, count: int) -> None:
    speeds: dict[str, list[float]] = {name: [] for name in SIDES}
    with real_server("vsftpd", folder=options.folder) as site:
        for number in range(options.rounds):
            for name, run in SIDES.items():
                site.empty()
                base = f"/bench-{number}"
                load = Load(source, base, pictures(source, base))
                started = time.perf_counter()
                run(site, load, options.connections)
                seconds = time.perf_counter() - started
                check(site, count, kilobytes * 1000)
                speeds[name].append(count * kilobytes / 1e3 / seconds)
    show(speeds, f"{count} files of {kilobytes} kB, {options.connections} connections")


def check(site: FtpSite, count: int, size_bytes: int) -> None:
    sizes = [path.stat().st_size for path in site.root.rglob("*.jpg") if path.name[0] != "."]
    assert sizes == [size_bytes] * count, f"{len(sizes)} of {count} files are there"


def show(speeds: dict[str, list[float]], title: str) -> None:
    print(title)
    ours = statistics.median(speeds["frameferry"])
    for name, values in speeds.items():
        each = " ".join(f"{value:7.1f}" for value in values)
        median = statistics.median(values)
        print(f"  {name:11} median {median:7.1f} MB/s {ours / median:5.2f} x   {each}", flush=True)


def pictures(source: Path, base: str) -> list[Picture]:
    """Give the deliver step's view: bytes in memory, their digests known from judging."""
    made = []
    for number, path in enumerate(sorted(source.iterdir())):
        data = path.read_bytes()
        made.append(
            (Consignment(number, 0, number, f"{base}/{path.name}", len(data), JUDGED), data)
        )
    return made


def by_frameferry(site: FtpSite, load: Load, connections: int) -> None:
    connection = site.connection(timeout_seconds=30)
    with Publisher(
        lambda: connect(connection), base=load.base, connections=connections, part_tag="bench-1-1"
    ) as delivery:
        for group in groups(iter(load.pictures), len(load.pictures)):
            delivery.publish(delivery.stage(group).staged)


def by_ftplib(site: FtpSite, load: Load, connections: int) -> None:
    with ftplib.FTP(timeout=30) as first:
        first.connect("127.0.0.1", site.port)
        first.login(USER, PASSWORD)
        first.mkd(load.base)
    shares = [load.pictures[start::connections] for start in range(connections)]
    with ThreadPoolExecutor(connections) as executor:
        list(executor.map(lambda share: send_share(site.port, share), shares))


def send_share(port: int, share: Sequence[Picture]) -> None:
    with ftplib.FTP(timeout=30) as ftp:
        ftp.connect("127.0.0.1", port)
        ftp.login(USER, PASSWORD)
        for consignment, data in share:
            part = f"{consignment.remote_path}.part"
            ftp.storbinary(f"STOR {part}", io.BytesIO(data))
            assert ftp.size(part) == len(data)
            ftp.rename(part, consignment.remote_path)


def by_lftp(site: FtpSite, load: Load, connections: int) -> None:
    script = (
        f"set cmd:fail-exit yes; set ftp:ssl-allow no; set net:timeout 30; "
        f"open -u {USER},'{PASSWORD}' ftp://127.0.0.1:{site.port}; "
        f"mirror -R --parallel={connections} {load.source} {load.base}; bye"
    )
    run("lftp", ["usr/bin/lftp", "--norc", "-c", script])


def by_rclone(site: FtpSite, load: Load, connections: int) -> None:
    remote = f":ftp,host=127.0.0.1,port={site.port},user={USER},pass={hidden()}:{load.base}"
    limits = [f"--transfers={connections}", "--config=", "--retries=1"]
    run("rclone", ["usr/bin/rclone", "copy", *limits, str(load.source), remote])


def hidden() -> str:
    """Write the password as rclone wants it."""
    argv = [debian_root("rclone") / "usr/bin/rclone", "obscure", PASSWORD]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def run(package: str, argv: list[str]) -> None:
    program, *arguments = argv
    subprocess.run(
        [debian_root(package) / program, *arguments],
        env=debian_environment(package),
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


SIDES: dict[str, Side] = {
    "frameferry": by_frameferry,
    "ftplib": by_ftplib,
    "lftp": by_lftp,
    "rclone": by_rclone,
}


if __name__ == "__main__":
    main()
