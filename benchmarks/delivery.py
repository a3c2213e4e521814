"""
Verified delivery against plain ftplib doing the same, interleaved, on one server.

    .venv/bin/python benchmarks/delivery.py [--files 200] [--kilobytes 200] [--connections 4]
        [--rounds 5] [--port PORT --user USER --password PASSWORD --base /bench]

Both sides upload to a temporary name, ask SIZE, rename. Without --port it starts pyftpdlib in a
process of its own, on a temporary folder. Prints MB/s and the client's CPU per file, a round each,
and the medians' ratios.
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
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.odd_ftp import PASSWORD, USER, odd_server

from frameferry.config.connections import FtpConnection
from frameferry.delivery.client import connect
from frameferry.delivery.publisher import Publisher
from frameferry.domain.records import Consignment, sha256_hex

Item = tuple[Consignment, bytes]


def main() -> None:
    options = parse()
    if options.port:
        compare(options, options.port)
        return
    with tempfile.TemporaryDirectory() as folder, odd_server(Path(folder)) as server:
        compare(options, server.port)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in (("files", 200), ("kilobytes", 200), ("connections", 4), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
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
    data = bytes(range(256)) * (options.kilobytes * 4)
    digest = sha256_hex(data)
    made = [
        (Consignment(n, 0, n, f"{options.base}/{n:06d}.jpg", len(data), digest), data)
        for n in range(options.files)
    ]
    sides: dict[str, Callable[[], None]] = {
        "ftplib, 1 connection": lambda: by_ftplib(connection, made, 1),
        f"ftplib, {options.connections} connections": lambda: by_ftplib(
            connection, made, options.connections
        ),
        "frameferry, 1 connection": lambda: by_frameferry(connection, made, 1),
        f"frameferry, {options.connections} connections": lambda: by_frameferry(
            connection, made, options.connections
        ),
    }
    megabytes = len(data) * len(made) / 1e6
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    costs: dict[str, list[float]] = {name: [] for name in sides}
    by_frameferry(connection, made, 1)
    for _ in range(options.rounds):
        for name, run in sides.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            run()
            speeds[name].append(megabytes / (time.perf_counter() - started))
            costs[name].append((time.process_time() - cpu_started) * 1e3 / len(made))
    for name, values in speeds.items():
        each = " ".join(f"{value:7.1f}" for value in values)
        speed, cost = statistics.median(values), statistics.median(costs[name])
        print(f"{name:28} median {speed:7.1f} MB/s {cost:6.2f} ms CPU a file   {each}")
    medians = [statistics.median(values) for values in speeds.values()]
    print(f"ratio to ftplib: {medians[2] / medians[0]:.2f} (1), {medians[3] / medians[1]:.2f} (N)")


def by_frameferry(connection: FtpConnection, made: list[Item], connections: int) -> None:
    with Publisher(
        lambda: connect(connection),
        base=made[0][0].remote_path.rpartition("/")[0],
        connections=connections,
        part_tag=f"bench-1-{time.perf_counter_ns()}",
    ) as delivery:
        for start in range(0, len(made), 100):
            delivery.publish(delivery.stage(made[start : start + 100]).staged)


def by_ftplib(connection: FtpConnection, made: list[Item], connections: int) -> None:
    shares = [made[start::connections] for start in range(connections)]
    with ThreadPoolExecutor(connections) as executor:
        list(executor.map(lambda share: send_share(connection, share), shares))


def send_share(connection: FtpConnection, share: list[Item]) -> None:
    ftp = ftplib.FTP(timeout=30)
    ftp.connect(connection.host, connection.port)
    ftp.login(connection.user, connection.password.get_secret_value())
    for consignment, data in share:
        part = f"{consignment.remote_path}.part"
        ftp.storbinary(f"STOR {part}", io.BytesIO(data))
        if ftp.size(part) != len(data):
            raise AssertionError(part)
        ftp.rename(part, consignment.remote_path)
    ftp.quit()


if __name__ == "__main__":
    main()
