"""The circuit breaker's block among other blocks: only a person lifts it."""

from __future__ import annotations

import pytest
from fixtures.ledgers import DESTINATION, PIPELINE, claim, plan, row

from frameferry.domain.offsets import OffsetRange
from frameferry.ledger.store import Ledger

PASSWORD = "digest-of-the-old-password"


def judge_bad(ledger: Ledger, start: int, number: int, *, max_quarantine: int = 2) -> None:
    batch = claim(ledger, plan(ledger, OffsetRange(0, start, start + number)))
    bad = [row(0, start + at, quarantine=("damaged", "")) for at in range(number)]
    ledger.record_predictions(
        batch.token,
        bad,
        destination=DESTINATION,
        judge_digest=None,
        seconds=1,
        max_quarantine=max_quarantine,
    )


def stands(ledger: Ledger) -> tuple[str, str | None]:
    block = ledger.blocked(PIPELINE)
    assert block is not None
    return block.reason, block.digest


def test_a_refused_login_does_not_hide_a_block_that_waits_for_a_person(press: Ledger) -> None:
    judge_bad(press, 0, 3)
    before = stands(press)
    press.block(PIPELINE, reason="530 no entry", digest=PASSWORD)
    assert before == stands(press)
    assert not press.free_of(PIPELINE, digest=PASSWORD, who="the connection's credential changed")
    assert before == stands(press)
    assert press.unblock(PIPELINE, who="anna")
    assert press.blocked(PIPELINE) is None


@pytest.mark.parametrize("digest", [PASSWORD, None])
def test_the_breaker_blocks_in_the_place_of_any_other_block(
    press: Ledger, digest: str | None
) -> None:
    press.block(PIPELINE, reason="530 no entry", digest=digest)
    judge_bad(press, 0, 3)
    reason, by = stands(press)
    assert by is None
    assert "3 of 3 images" in reason


def test_another_trouble_does_not_hide_the_breakers_block(press: Ledger) -> None:
    judge_bad(press, 0, 3)
    before = stands(press)
    press.block(PIPELINE, reason="Kafka returned other bytes", digest=None)
    assert before == stands(press)


def test_only_a_persons_word_makes_quarantines_count_no_more(press: Ledger) -> None:
    judge_bad(press, 0, 2)
    press.block(PIPELINE, reason="530 no entry", digest=PASSWORD)
    assert press.free_of(PIPELINE, digest=PASSWORD, who="the connection's credential changed")
    assert press.blocked(PIPELINE) is None
    judge_bad(press, 2, 1)
    assert "3 of 3 images of the last hour" in stands(press)[0]
    press.unblock(PIPELINE, who="anna")
    judge_bad(press, 3, 1)
    assert press.blocked(PIPELINE) is None


def test_the_block_of_another_connection_stands(press: Ledger) -> None:
    press.block(PIPELINE, reason="530 no entry", digest=PASSWORD)
    assert not press.free_of(PIPELINE, digest="another", who="the connection's credential changed")
    assert (PASSWORD, "530 no entry") == stands(press)[::-1]
