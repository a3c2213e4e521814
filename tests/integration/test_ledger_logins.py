"""Log-ins: one attempt at a time over all processes, and none after a refusal."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from threading import Barrier

import pytest

from frameferry.errors import FtpUnavailable, PipelineBlocked
from frameferry.ledger.opening import open_ledger
from frameferry.ledger.store import Ledger
from frameferry.pipeline.deliver import login

DIGEST = "d" * 64


def _begin(ledger: Ledger, owner: str = "me", *, lease: float = 60, patience: float = 0) -> None:
    ledger.begin_login(DIGEST, owner=owner, lease_seconds=lease, patience_seconds=patience)


def _end(ledger: Ledger, owner: str = "me", *, refused: str | None = None) -> None:
    ledger.end_login(DIGEST, owner=owner, refused=refused)


def test_a_turn_ends_and_the_next_begins(ledger: Ledger) -> None:
    assert ledger.login_refusal(DIGEST) is None
    for _ in range(2):
        _begin(ledger)
        _end(ledger)
    assert ledger.login_refusal(DIGEST) is None


def test_a_second_attempt_waits_in_vain_while_one_is_tried(ledger: Ledger) -> None:
    _begin(ledger, "host:1")
    started = time.monotonic()
    with pytest.raises(FtpUnavailable, match="another log-in is being tried, by host:1"):
        _begin(ledger, "host:2", patience=0.3)
    assert 0.3 <= time.monotonic() - started < 10
    with pytest.raises(FtpUnavailable):
        _begin(ledger, "host:1")
    ledger.begin_login("another", owner="host:2", lease_seconds=60)


def test_a_turn_that_was_never_ended_is_over_with_its_lease(ledger: Ledger) -> None:
    _begin(ledger, "dead", lease=0)
    _begin(ledger, "alive")


def test_who_was_overtaken_neither_renews_nor_ends_the_others_turn(ledger: Ledger) -> None:
    _begin(ledger, "late", lease=0)
    _begin(ledger, "now")
    ledger.renew_login(DIGEST, owner="late", lease_seconds=0)
    _end(ledger, "late")
    with pytest.raises(FtpUnavailable, match="being tried, by now"):
        _begin(ledger, "third")
    _end(ledger, "now")
    _begin(ledger, "third")


def test_a_refusal_counts_though_the_turn_is_anothers(ledger: Ledger) -> None:
    _begin(ledger, "late", lease=0)
    _begin(ledger, "now")
    _end(ledger, "late", refused="530")
    _end(ledger, "now")
    assert ledger.login_refusal(DIGEST) == "530"


def test_a_log_in_that_takes_longer_than_its_turn_keeps_its_turn(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = 1.5
    monkeypatch.setattr(login, "LOGIN_LEASE_SECONDS", lease)
    with (
        login.one_login(ledger, DIGEST, owner="slow"),
        pytest.raises(FtpUnavailable, match="being tried, by slow"),
    ):
        _begin(ledger, "next", patience=2 * lease)
    _begin(ledger, "next")


def test_a_refusal_keeps_everybody_out_until_it_is_forgotten(ledger: Ledger) -> None:
    _begin(ledger)
    _end(ledger, refused="530 Login incorrect.")
    for _ in range(2):
        with pytest.raises(PipelineBlocked, match="refused this user and password before: 530"):
            _begin(ledger)
    assert ledger.login_refusal(DIGEST) == "530 Login incorrect."
    ledger.begin_login("new password", owner="me", lease_seconds=60)
    ledger.forget_refusal(DIGEST)
    assert ledger.login_refusal(DIGEST) is None
    _begin(ledger)


def test_a_late_success_does_not_wipe_out_a_refusal(ledger: Ledger) -> None:
    _begin(ledger, lease=0)
    _begin(ledger)
    _end(ledger, refused="530")
    _end(ledger)
    assert ledger.login_refusal(DIGEST) == "530"


def test_a_refusal_survives_a_restart(ledger_url: str) -> None:
    with closing(open_ledger(ledger_url)) as first:
        _begin(first)
        _end(first, refused="530")
    with closing(open_ledger(ledger_url)) as second, pytest.raises(PipelineBlocked):
        _begin(second)


def test_many_who_come_at_once_make_one_attempt_in_all(ledger_url: str) -> None:
    attempts: list[str] = []
    barrier = Barrier(4)

    def log_in(owner: str) -> str:
        with closing(open_ledger(ledger_url)) as ledger:
            barrier.wait()
            try:
                _begin(ledger, owner, patience=30)
            except PipelineBlocked:
                return "blocked"
            attempts.append(owner)
            _end(ledger, owner, refused="530 no")
            return "tried"

    with ThreadPoolExecutor(4) as pool:
        outcomes = sorted(pool.map(log_in, "abcd"))
    assert outcomes == ["blocked", "blocked", "blocked", "tried"]
    assert len(attempts) == 1
