"""Try a user's own FTP server before pictures go to it."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from time import perf_counter
from typing import Any

from frameferry.config.connections import FtpConnection
from frameferry.config.home import ledger_url
from frameferry.errors import FrameferryError
from frameferry.ftp.client import FerryFTP, connect
from frameferry.ftp.fitness.checks import Finding, examine
from frameferry.ftp.fitness.endurance import (
    USUAL_NAMES,
    connection_limit,
    data_addresses,
    list_limit,
    speed,
)
from frameferry.ftp.fitness.sandbox import Sandbox
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.pipeline.deliver.login import one_login

__all__ = ["USUAL_NAMES", "Finding", "Probe", "probe", "probe_anew"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What a server showed. `left` names what could not be deleted again."""

    server: str
    folder: str
    findings: tuple[Finding, ...]
    left: tuple[str, ...]

    @property
    def is_passed(self) -> bool:
        """Say whether pictures can be delivered there."""
        return not any(finding.verdict == "fail" for finding in self.findings)

    @property
    def settings(self) -> tuple[str, ...]:
        """List what to set because of the findings, each once."""
        return tuple(dict.fromkeys(one.setting for one in self.findings if one.setting))


def probe_anew(connection: FtpConnection, *, forget_refusal: bool, **how: Any) -> Probe:  # noqa: ANN401 - as `probe`
    """Probe with the turns of this home's ledger; *forget_refusal* forgets a refused password."""
    with closing(open_ledger(ledger_url())) as ledger:
        if forget_refusal:
            ledger.forget_refusal(connection.digest)
        return probe(ledger, connection, **how)


def probe(
    ledger: Ledger,
    connection: FtpConnection,
    *,
    base: str,
    connections: int = 0,
    names: int = USUAL_NAMES,
    open_ftp: Callable[[FtpConnection], FerryFTP] = connect,
    on_finding: Callable[[Finding], None] = lambda _: None,
) -> Probe:
    """
    Try all that a delivery will ask of a server, in a folder of its own, and leave no trace.

    Every log-in takes its turn in the ledger: a password that was refused is not tried again.

    Args:
        ledger: Holds the turns.
        connection: The server.
        base: Where the folder is made.
        connections: Open up to so many at once, to meet the server's limit; 0 leaves that out.
        names: Fill a folder with up to so many names, to meet the limit of its list.
        open_ftp: Opens one connection.
        on_finding: Told each finding as it comes.

    Raises:
        FtpUnavailable, LoginRefused, DeliveryRefused: The log-in failed.
        PipelineBlocked: The server refused this user and password before.
    """
    owner = f"frameferry probe ({os.getpid()})"

    def open_connection() -> FerryFTP:
        with one_login(ledger, connection.digest, owner=owner):
            return open_ftp(connection)

    sandbox = Sandbox(open_connection, base, uuid.uuid4().hex[:8])
    findings: list[Finding] = []
    began = perf_counter()
    with sandbox:
        for finding in chain(
            [_login(sandbox, perf_counter() - began)], _checks(sandbox, connections, names)
        ):
            findings.append(finding)
            on_finding(finding)
    return Probe(
        f"{connection.host}:{connection.port}", sandbox.folder, tuple(findings), sandbox.left
    )


def _login(sandbox: Sandbox, seconds: float) -> Finding:
    ftp = sandbox.ftp
    greeting = " ".join((ftp.welcome or "").split())[:100]
    seen = f"{ftp.connection.user} at {ftp.server} in {seconds:.2f} s; {greeting!r}"
    return Finding("log-in", "ok", seen)


def _checks(sandbox: Sandbox, connections: int, names: int) -> Iterator[Finding]:
    last = None
    for last in examine(sandbox):
        yield last
    if last is None or last.verdict == "fail":
        return
    questions: dict[str, Callable[[], Finding]] = {
        "data addresses": lambda: data_addresses(sandbox),
        "speed": lambda: speed(sandbox),
    }
    if names:
        questions["list"] = lambda: list_limit(sandbox, names)
    if connections:
        questions["connections"] = lambda: connection_limit(sandbox, connections)
    for name, question in questions.items():
        try:
            yield question()
        except FrameferryError as error:
            yield Finding(name, "fail", error.what, error.remedy)
