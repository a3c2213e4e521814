"""
Round trips per file at 20 ms of latency, as root, on Debian or Ubuntu.

    scripts/unpack-debian vsftpd proftpd pure-ftpd
    .venv/bin/python benchmarks/delivery_latency.py [--server vsftpd] [--depths deep]

Client and server each get a network namespace; a packet between them waits half a round trip in
a process of ours. What a round trip really takes is measured by connecting. One connection
delivers 10 and then 60 files of 1 kB (part, SIZE, rename), and the difference, which holds neither
log-in nor folders, is divided by 50 files and by the round trip.
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import itertools
import multiprocessing
import os
import select
import socket
import statistics
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fixtures.ferrying import items, publisher
from fixtures.ftp_site import FtpSite
from fixtures.real_ftp import real_server

OURS, THEIRS = "10.99.0.1", "10.99.0.2"
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
CLONE_NEWNET = 0x40000000
FEW, MANY = 10, 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="vsftpd", choices=["vsftpd", "proftpd", "pureftpd"])
    parser.add_argument("--milliseconds", type=float, default=20)
    parser.add_argument("--depths", nargs="+", default=["off", "safe", "deep"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    round_trip = options.milliseconds / 1000
    with namespaces() as (near, far), delay(near, far, round_trip / 2):
        enter(near)
        within = ("ip", "netns", "exec", far)
        with real_server(options.server, host=THEIRS, within=within) as site:
            print(f"a round trip takes {measured(site) * 1000:.1f} ms", flush=True)
            for depth in options.depths:
                trips = [per_file(site, depth) / measured(site) for _ in range(options.rounds)]
                each = " ".join(f"{value:5.2f}" for value in trips)
                median = statistics.median(trips)
                print(f"{options.server} {depth:4} {median:5.2f} round trips a file   {each}")


def measured(site: FtpSite) -> float:
    """Time connecting, which is one round trip."""
    seconds = []
    for _ in range(9):
        started = time.perf_counter()
        socket.create_connection((site.host, site.port), 5).close()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def per_file(site: FtpSite, depth: str) -> float:
    spent = {}
    for count in (FEW, MANY):
        site.empty()
        connection = site.connection(pipelining=depth, timeout_seconds=30)
        made = items(count, size_bytes=1000)
        with publisher(connection, connections=1) as delivery:
            started = time.perf_counter()
            delivery.publish(delivery.stage(made).staged)
            spent[count] = time.perf_counter() - started
    return (spent[MANY] - spent[FEW]) / (MANY - FEW)


@contextmanager
def namespaces() -> Iterator[tuple[str, str]]:
    names = (f"ferry-near-{os.getpid()}", f"ferry-far-{os.getpid()}")
    try:
        for name in names:
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def delay(near: str, far: str, seconds: float) -> Iterator[None]:
    """Join two namespaces by a wire on which every packet takes *seconds*."""
    tunnels = [tunnel(near, OURS, THEIRS), tunnel(far, THEIRS, OURS)]
    process = multiprocessing.get_context("fork").Process(target=forward, args=(tunnels, seconds))
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()
        for one in tunnels:
            os.close(one)


def tunnel(namespace: str, address: str, peer: str) -> int:
    end = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    name = f"fd{end}-{os.getpid()}"[:15]
    fcntl.ioctl(end, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    ip("link", "set", name, "netns", namespace)
    ip("-n", namespace, "addr", "add", address, "peer", peer, "dev", name)
    ip("-n", namespace, "link", "set", name, "up")
    return end


def forward(tunnels: list[int], seconds: float) -> None:
    os.nice(-10)
    other = dict(zip(tunnels, reversed(tunnels), strict=True))
    waiting: list[tuple[float, int, int, bytes]] = []
    number = itertools.count()
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, end, packet = heapq.heappop(waiting)
            os.write(end, packet)
        pause = max(0.0, min(0.1, waiting[0][0] - now)) if waiting else 0.1
        for end in select.select(tunnels, [], [], pause)[0]:
            packet = os.read(end, 65536)
            heapq.heappush(waiting, (time.monotonic() + seconds, next(number), other[end], packet))


def enter(namespace: str) -> None:
    """Move this thread, and those that it starts from now on, into a namespace."""
    with Path("/var/run/netns", namespace).open("rb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "setns")


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


if __name__ == "__main__":
    main()
