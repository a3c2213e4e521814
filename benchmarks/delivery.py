"""
Verified delivery against plain ftplib doing the same, interleaved, on one server.

    .venv/bin/python benchmarks/delivery.py [--files 200] [--kilobytes 200] [--connections 4]
        [--rounds 5] [--folder /dev/shm] [--port PORT --user U --password P --base /bench]

Both sides upload to a temporary name, ask SIZE, rename, over connections that are open and known to
work; frameferry in groups, as the deliver step does. The names are new each time: replacing a file
costs some file systems a flush. Without --port it starts pyftpdlib in a process of its own, on a
temporary folder in --folder. Prints MB/s and the client's CPU per file, a round each, and the
medians' ratios.
"""

from __future__ import annotations

import argparse
import ftplib
import io
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.odd_ftp import PASSWORD, USER, odd_server

from frameferry.config.connections import FtpConnection
from frameferry.delivery.client import connect
from frameferry.delivery.publisher import Publisher
from frameferry.domain.records import Consignment, sha256_hex

Item = tuple[Consignment, bytes]
Side = Callable[[list[Item]], None]
GROUP = 200


def main() -> None:
    options = parse()
    if options.port:
        compare(options, options.port)
        return
    with (
        tempfile.TemporaryDirectory(dir=options.folder) as folder,
        odd_server(Path(folder)) as server,
    ):
        compare(options, server.port)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("files", 200), ("kilobytes", 200), ("connections", 4), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--folder", default=None)
    parser.add_argument("--port", type=int)
    parser.add_argument("--user", default=USER)
    parser.add_argument("--password", default=PASSWORD)
    parser.add_argument("--base", default="/bench")
    return parser.parse_args()


def compare(options: argparse.Namespace, port: int) -> None:
    connection = FtpConnection(
        conn_id="bench",
        host="127.0.0.1",
        port=port,
        user=options.user,
        password=options.password,
    )
    made = pictures(options)
    counts = sorted({1, options.connections})
    with ExitStack() as stack:
        sides: dict[str, Side] = {}
        for count in counts:
            sides[f"ftplib, {count} connections"] = by_ftplib(connection, count, stack)
            sides[f"frameferry, {count} connections"] = by_frameferry(
                connection, options.base, count, stack
            )
        sweeper = stack.enter_context(closing(logged_in(connection)))
        with suppress(ftplib.error_perm):
            sweeper.mkd(options.base)
        measure(sides, made, options.rounds, sweeper)


def pictures(options: argparse.Namespace) -> list[Item]:
    data = bytes(range(256)) * (options.kilobytes * 1000 // 256)
    digest = sha256_hex(data)
    return [
        (Consignment(n, 0, n, f"{options.base}/{n:06d}.jpg", len(data), digest), data)
        for n in range(options.files)
    ]


def measure(sides: dict[str, Side], made: list[Item], rounds: int, sweeper: ftplib.FTP) -> None:
    megabytes = sum(len(data) for _, data in made) / 1e6
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    costs: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds + 1):
        for name, run in sides.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            run(made)
            speeds[name].append(megabytes / (time.perf_counter() - started))
            costs[name].append((time.process_time() - cpu_started) * 1e3 / len(made))
            for consignment, _ in made:
                sweeper.delete(consignment.remote_path)
            if number == 0:  # it opened the connections
                speeds[name].clear()
                costs[name].clear()
    for name, values in speeds.items():
        each = " ".join(f"{value:7.1f}" for value in values)
        speed, cost = statistics.median(values), statistics.median(costs[name])
        print(f"{name:26} median {speed:7.1f} MB/s {cost:6.2f} ms CPU a file   {each}")
    medians = [statistics.median(values) for values in speeds.values()]
    ratios = [ours / theirs for theirs, ours in zip(medians[::2], medians[1::2], strict=True)]
    print("ratio to ftplib:", ", ".join(f"{ratio:.2f}" for ratio in ratios))


def by_frameferry(connection: FtpConnection, base: str, connections: int, stack: ExitStack) -> Side:
    delivery = stack.enter_context(
        Publisher(
            lambda: connect(connection),
            base=base,
            connections=connections,
            part_tag=f"bench-1-{connections}",
        )
    )

    def run(made: list[Item]) -> None:
        for start in range(0, len(made), GROUP):
            delivery.publish(delivery.stage(made[start : start + GROUP]).staged)

    return run


def by_ftplib(connection: FtpConnection, connections: int, stack: ExitStack) -> Side:
    executor = stack.enter_context(ThreadPoolExecutor(connections))
    ftps = [logged_in(connection) for _ in range(connections)]
    for ftp in ftps:
        stack.callback(ftp.close)

    def run(made: list[Item]) -> None:
        shares = [made[start::connections] for start in range(connections)]
        list(executor.map(send_share, ftps, shares))

    return run


def logged_in(connection: FtpConnection) -> ftplib.FTP:
    ftp = ftplib.FTP(timeout=30)
    ftp.connect(connection.host, connection.port)
    ftp.login(connection.user, connection.password.get_secret_value())
    return ftp


def send_share(ftp: ftplib.FTP, share: list[Item]) -> None:
    for consignment, data in share:
        part = f"{consignment.remote_path}.part"
        ftp.storbinary(f"STOR {part}", io.BytesIO(data))
        if ftp.size(part) != len(data):
            raise AssertionError(part)
        ftp.rename(part, consignment.remote_path)


if __name__ == "__main__":
    main()
