"""How fast a server is, how many connections and names it takes: for what to set."""

from __future__ import annotations

import random
import statistics
from collections.abc import Callable
from contextlib import suppress
from time import perf_counter

from frameferry.errors import FrameferryError, FtpCrowded, FtpUnavailable
from frameferry.ftp.client import FerryFTP
from frameferry.ftp.fitness.checks import SMALL, Finding
from frameferry.ftp.fitness.sandbox import Sandbox
from frameferry.ftp.listing import read_folder
from frameferry.ftp.measuring import measure

LARGE_BYTES = 4_000_000
SMALL_FILES = 40
ENOUGH_SECONDS = 10.0
"""No measurement goes on for longer, however slow the server."""
_LOOKS = 5
FAR_SECONDS = 0.005
"""From this round trip on, a connection mostly waits, so that more of them carry more."""
FAR_CONNECTIONS = 8
_ADDRESS_TRIES = 3
USUAL_NAMES = 213
"""A little over the smallest limits: made and taken away again in a moment."""
MAKING_SECONDS = 2.0
_USUAL_LIMITS = {"Pure-FTPd": 10_000}
"""At how many names a server ends a list unless told otherwise, by the name in its greeting."""
_SMALL_FOLDERS = (
    "keep folders small: deliver.name with {date}/{hour}/ in it (docs/operations.md, Restoring)"
)


def speed(sandbox: Sandbox) -> Finding:
    """
    Measure the round trip, small files and a large one, over one connection.

    Raises:
        FtpUnavailable: Cut off on the way.
    """
    ftp = sandbox.ftp
    trips = [_seconds(lambda: ftp.ask("NOOP")) for _ in range(_LOOKS)]
    began = perf_counter()
    sent = 0
    while sent < SMALL_FILES and perf_counter() - began < ENOUGH_SECONDS:
        sandbox.store(f"speed-{sent}.bin", SMALL)
        measure(ftp, sandbox.path(f"speed-{sent}.bin"))
        sent += 1
    files_per_second = sent / (perf_counter() - began)
    data = random.Random(3).randbytes(LARGE_BYTES)  # noqa: S311 - a file's content
    large_seconds = _seconds(lambda: sandbox.store("large.bin", data))
    seen = (
        f"{statistics.median(trips) * 1000:.1f} ms a round trip, {files_per_second:.0f} verified "
        f"files of 20 kB a second, {LARGE_BYTES / large_seconds / 1e6:.1f} MB/s in one of 4 MB; "
        "one connection"
    )
    if min(trips) < FAR_SECONDS:
        return Finding("speed", "ok", seen)
    return Finding("speed", "note", f"{seen}; far away", f"deliver.connections: {FAR_CONNECTIONS}")


def data_addresses(sandbox: Sandbox) -> Finding:
    """
    See whether data addresses lead somewhere if asked for with other things, as deliver does.

    Raises:
        FtpUnavailable: Those asked for alone lead nowhere either.
    """
    missed = sum(not _follows_ahead(sandbox, number) for number in range(_ADDRESS_TRIES))
    if not missed:
        how = "however they are asked for" if sandbox.ftp.asks_ahead else "asked alone, as is set"
        return Finding("data addresses", "ok", f"open, {how}")
    for number in range(_ADDRESS_TRIES):
        sandbox.store(f"alone-{number}.bin", SMALL)
    seen = (
        f"{missed} of {_ADDRESS_TRIES} led nowhere that were asked for with other commands, and "
        "all somewhere that were asked for alone: a firewall reads along"
    )
    return Finding("data addresses", "note", seen, "extra: pipelining=alone")


def _follows_ahead(sandbox: Sandbox, number: int) -> bool:
    """Store two files on a connection; the second one's address is asked for with the first."""
    first, second = (sandbox.path(f"ahead-{number}-{at}.bin") for at in range(2))
    try:
        ftp = sandbox.another()
    except FtpCrowded:
        ftp = sandbox.ftp
    try:
        ftp.store_and_ask(first, SMALL, [f"SIZE {first}"], ahead=True)
        ftp.store_and_ask(second, SMALL, [f"SIZE {second}"], ahead=False)
    except FtpUnavailable:
        if not ftp.missed_address:
            raise
        return False
    finally:
        if ftp is not sandbox.ftp:
            ftp.farewell()
    return True


def list_limit(sandbox: Sandbox, most: int) -> Finding:
    """
    Fill the folder with up to *most* empty folders, and see whether a list shows all of them.

    With more than the usual number it takes as long as it takes.

    Raises:
        FtpUnavailable: Cut off on the way.
        DeliveryRefused: The server does not list.
    """
    seconds = MAKING_SECONDS if most <= USUAL_NAMES else ENOUGH_SECONDS * 6
    made = sandbox.make_crowd(most, seconds=seconds)
    listing = read_folder(sandbox.ftp, sandbox.folder)
    shown = {name for name, _ in listing.entries}
    missing = set(made) - shown
    if missing:
        why = listing.flaw or "without a word"
        seen = f"a list shows {len(shown):,} names and leaves out {len(missing):,}: {why}"
        return Finding("list", "note", seen, _SMALL_FOLDERS)
    seen = f"{len(shown):,} names are shown, more were not tried"
    for server, limit in _USUAL_LIMITS.items():
        if server in (sandbox.ftp.welcome or "") and limit >= len(shown):
            seen += f"; {server} ends a list at {limit:,} unless told otherwise"
            return Finding("list", "note", seen, _SMALL_FOLDERS)
    return Finding("list", "ok", seen)


def connection_limit(sandbox: Sandbox, most: int) -> Finding:
    """
    Open connections until the server has enough of them, or *most* are open; then close all.

    Other clients of the server may be turned away meanwhile: ask before you use it.

    Raises:
        LoginRefused: The server refuses the very password that it took before.
    """
    opened: list[FerryFTP] = [sandbox.ftp]
    refusal = ""
    try:
        while len(opened) < most:
            opened.append(sandbox.another())
    except FtpCrowded as error:
        refusal = error.what
    except FtpUnavailable as error:
        refusal = f"no answer: {error.what}"
    finally:
        for ftp in opened[1:]:
            with suppress(FrameferryError):
                ftp.farewell()
    setting = f"deliver.connections: {min(len(opened), most)}"
    if not refusal:
        return Finding("connections", "ok", f"{most} at once, no limit met")
    return Finding("connections", "note", f"{len(opened)} at once, then {refusal}", setting)


def _seconds(work: Callable[[], object]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began
