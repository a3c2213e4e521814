"""What to do next with a batch that could not be judged: try again, split, or convict. Pure."""

from __future__ import annotations

from enum import Enum
from typing import Final

from frameferry.domain.batch import Trouble

PROOFS_NEEDED: Final = 2
"""How often a record must fail alone, between controls that pass, to be quarantined."""


class Trial(Enum):
    """What the next call of `infer` does; those with a control do nothing more if it fails."""

    JUDGE = "judge"
    CONTROL_THEN_JUDGE = "control, then judge"
    CONTROL_THEN_SPLIT = "control, then split"
    CONTROL_THEN_QUARANTINE = "control, then quarantine"


def next_trial(trouble: Trouble, *, offsets: int, failures_before_split: int) -> Trial:
    """
    Choose what a batch's past failures call for.

    Splitting is harmless, so it needs little: some failures, or only one if the batch is charged,
    and a control that passes. A record is convicted only if it fails alone, twice, between controls
    that pass; the control after one failure is the one before the next.

    Args:
        trouble: What went wrong so far.
        offsets: How many the batch holds; a batch of one cannot be split.
        failures_before_split: Of a batch that is not charged.
    """
    allowed = 1 if trouble.charges else failures_before_split
    is_due = bool(trouble.charges) or trouble.failures >= allowed
    if not is_due:
        return Trial.JUDGE
    if offsets == 1:
        is_proved = trouble.proofs >= PROOFS_NEEDED
        return Trial.CONTROL_THEN_QUARANTINE if is_proved else Trial.CONTROL_THEN_JUDGE
    if trouble.failures >= allowed:
        return Trial.CONTROL_THEN_SPLIT
    return Trial.CONTROL_THEN_JUDGE
