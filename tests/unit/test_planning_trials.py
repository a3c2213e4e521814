"""What a batch's past failures call for, and that it always comes to an end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from frameferry.domain.batch import Trouble
from frameferry.planning.trials import PROOFS_NEEDED, Trial, next_trial


def trial(offsets: int, *, allowed: int = 2, **trouble: int) -> Trial:
    return next_trial(Trouble(**trouble), offsets=offsets, failures_before_split=allowed)


@pytest.mark.parametrize("offsets", [1, 2, 2000])
def test_what_never_failed_is_judged(offsets: int) -> None:
    assert trial(offsets) is Trial.JUDGE
    assert trial(offsets, failures=1) is Trial.JUDGE


def test_what_failed_often_enough_is_split_if_a_control_passes() -> None:
    assert trial(2000, failures=2) is Trial.CONTROL_THEN_SPLIT
    assert trial(2000, failures=3) is Trial.CONTROL_THEN_SPLIT


def test_a_charged_batch_is_judged_after_a_control_and_split_after_one_failure() -> None:
    assert trial(1000, charges=1) is Trial.CONTROL_THEN_JUDGE
    assert trial(1000, charges=1, failures=1) is Trial.CONTROL_THEN_SPLIT


@pytest.mark.parametrize("charges", [0, 3])
def test_one_offset_is_never_split_and_convicted_by_two_proofs_only(charges: int) -> None:
    for proofs in range(PROOFS_NEEDED):
        found = trial(1, charges=charges, failures=7, proofs=proofs)
        assert found is Trial.CONTROL_THEN_JUDGE
    assert trial(1, charges=charges, failures=7, proofs=2) is Trial.CONTROL_THEN_QUARANTINE


def test_company_alone_calls_for_nothing() -> None:
    suspect = Trouble(is_suspect=True)
    assert next_trial(suspect, offsets=9, failures_before_split=2) is Trial.JUDGE


@pytest.mark.parametrize("offsets", [1, 2, 2000])
@pytest.mark.parametrize("allowed", [1, 2, 5])
def test_a_batch_that_always_fails_comes_to_an_end(offsets: int, allowed: int) -> None:
    """Where the world is well, no more than a few judgings end in a split or a conviction."""
    trouble, judgings = Trouble(), 0
    while True:
        now = next_trial(trouble, offsets=offsets, failures_before_split=allowed)
        if now in {Trial.CONTROL_THEN_SPLIT, Trial.CONTROL_THEN_QUARANTINE}:
            break
        judgings += 1
        if now is Trial.CONTROL_THEN_JUDGE and offsets == 1:
            trouble = replace(trouble, proofs=trouble.proofs + 1)
        else:
            trouble = replace(trouble, failures=trouble.failures + 1)
    assert judgings <= allowed + PROOFS_NEEDED
